import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.server import model_process
from spigot_allennlp.server.model_process import ModelProcess, ModelProcessError
from tests import FIXTURES_ROOT, PATIENCE
from tests.server.echo import EchoPredictor


class UnpicklableError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class Predictor(EchoPredictor):
    """Does what the first token says."""

    def predict_sentences(self, sentences):
        match sentences[0].tokens[0]:
            case "die":
                os._exit(7)
            case "sleep":
                time.sleep(60)
            case "raise":
                raise UnpicklableError("one", "two")
            case "eof":
                raise EOFError("of the predictor")
            case "lambda":
                return [{"tokens": lambda: None}]
        return super().predict_sentences(sentences)


def refuse():
    raise ConfigurationError("no such archive")


def die():
    os._exit(7)


def load_once(folder):
    (folder / "loaded").touch(exist_ok=False)
    return Predictor()


def sentence(*tokens):
    return TaggedSentence(list(tokens), ["X"] * len(tokens), list(tokens))


def answers(model):
    return model.predict_sentences([sentence("a")])[0]["tokens"] == ["a"]


@pytest.fixture(scope="module")
def model(quick_model_processes):
    model = ModelProcess(Predictor, timeout=PATIENCE)
    model.wait_until_loaded()
    yield model
    model.close()


@pytest.fixture
def start(quick_model_processes):
    """Starts processes, and ends them after the test."""
    models = []

    def start(*args, **kwargs):
        models.append(ModelProcess(*args, **kwargs))
        return models[-1]

    yield start
    for model in models:
        model.close()


def test_it_answers_what_the_predictor_answers(model):
    sentences = [sentence("a", "b"), sentence("c")]
    assert model.predict_sentences(sentences) == EchoPredictor().predict_sentences(sentences)


def test_it_tags_as_the_predictor_tags(model):
    assert model.tagger.sentence("a b", 10) == sentence("a", "b")
    assert model.tagger.sentences("a b. c", 10) == [sentence("a", "b"), sentence("c")]
    with pytest.raises(ValueError, match="expected text, found none"):
        model.tagger.sentence(" ", 10)


def test_an_error_comes_with_its_traceback(model):
    with pytest.raises(ValueError, match="a secret of the model") as raised:
        model.predict_sentences([sentence("a", "fail")])
    assert "in predict_batch_instance" in str(raised.value.__cause__)
    assert answers(model)


@pytest.mark.parametrize(
    "token, error, message",
    [
        ("raise", RuntimeError, "UnpicklableError: one and two"),
        ("eof", EOFError, "of the predictor"),
        ("lambda", Exception, "lambda"),
    ],
)
def test_whatever_goes_wrong_in_the_predictor_the_process_stays(model, token, error, message):
    number = model._process.pid
    with pytest.raises(error, match=message):
        model.predict_sentences([sentence(token)])
    assert answers(model) and model._process.pid == number


def test_signals_to_all_processes_do_not_end_it_before_its_work(model):
    number = model._process.pid
    for kind in (signal.SIGTERM, signal.SIGINT):
        os.kill(number, kind)
    assert answers(model) and model._process.pid == number


def test_a_process_that_ends_is_replaced(start, caplog):
    model = start(Predictor)
    with pytest.raises(ModelProcessError, match="ended with status 7"):
        model.predict_sentences([sentence("die")])
    assert "ended with status 7, another one is started" in caplog.text
    assert answers(model)


def test_a_process_that_does_not_answer_is_replaced(start):
    model = start(Predictor, timeout=2)
    with pytest.raises(ModelProcessError, match="did not answer for 2 seconds"):
        model.predict_sentences([sentence("sleep")])
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            assert answers(model)
            break
        except ModelProcessError:  # the next one is still loading, on a busy machine
            assert time.monotonic() < deadline


def test_what_loading_raises_is_raised(start):
    with pytest.raises(ConfigurationError) as raised:
        start(refuse).wait_until_loaded()
    assert (str(raised.value), raised.value.__cause__) == ("no such archive", None)


def test_whoever_debugs_gets_the_error_of_loading_itself(monkeypatch):
    with pytest.raises(ConfigurationError) as raised:
        refuse()
    error = raised.value
    assert model_process._explained(error) is not error
    monkeypatch.setenv("ALLENNLP_DEBUG", "1")
    assert model_process._explained(error) is error


def test_a_process_that_ends_while_it_loads_is_an_error(start):
    with pytest.raises(ModelProcessError, match="ended with status 7"):
        start(die).wait_until_loaded()


def test_a_replacement_that_cannot_be_loaded_is_an_error_each_time(start, tmp_path):
    model = start(partial(load_once, tmp_path))
    assert answers(model)
    with pytest.raises(ModelProcessError, match="ended with status 7"):
        model.predict_sentences([sentence("die")])
    for _ in range(2):
        with pytest.raises(ModelProcessError, match=r"cannot load it: .*File exists"):
            model.predict_sentences([sentence("a")])
    (tmp_path / "loaded").unlink()
    assert answers(model)


def test_a_replacement_that_cannot_be_started_is_tried_again(start, monkeypatch):
    model = start(Predictor)
    model.wait_until_loaded()

    def no_memory(process):
        raise OSError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(type(model._process), "start", no_memory)
        for token in ("die", "a"):
            with pytest.raises(ModelProcessError, match="ended with status"):
                model.predict_sentences([sentence(token)])
    with pytest.raises(ModelProcessError, match="ended with status None"):
        model.predict_sentences([sentence("a")])
    assert answers(model)


def test_closing_ends_what_it_is_doing(start):
    model = start(Predictor)
    model.wait_until_loaded()
    raised = []

    def call():
        with pytest.raises(ModelProcessError) as error:
            model.predict_sentences([sentence("sleep")])
        raised.append(error.value)

    caller = threading.Thread(target=call)
    caller.start()
    time.sleep(0.2)
    model.close()
    caller.join(PATIENCE)
    assert raised and not model._process.is_alive()
    with pytest.raises(ModelProcessError):
        answers(model)
    assert not model._process.is_alive()


@pytest.mark.slow
def test_a_program_that_does_not_close_it_ends(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing\n"
        "from tests.server.test_model_process import ModelProcess, Predictor, answers, model_process\n"
        "model_process._CONTEXT = multiprocessing.get_context('fork')  # sooner than a new interpreter\n"
        "if __name__ == '__main__':\n"
        "    print(answers(ModelProcess(Predictor)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(FIXTURES_ROOT.parent)}
    out = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert (out.returncode, out.stdout) == (0, "True\n"), out.stderr
