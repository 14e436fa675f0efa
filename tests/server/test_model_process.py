import os
import signal
import time

import pytest
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.server.model_process import ModelProcess, ModelProcessError
from tests.server.echo import EchoPredictor


class UnpicklableError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class Predictor(EchoPredictor):
    """Ends its process at the token `die`, raises at `raise` what cannot be sent, and at `eof` what a pipe raises."""

    def predict_sentences(self, sentences):
        if "die" in sentences[0].tokens:
            os._exit(7)
        if "raise" in sentences[0].tokens:
            raise UnpicklableError("one", "two")
        if "eof" in sentences[0].tokens:
            raise EOFError("of the predictor")
        return super().predict_sentences(sentences)


def load_nothing():
    raise ConfigurationError("no such archive")


def die():
    os._exit(7)


def sentence(*tokens):
    return TaggedSentence(list(tokens), ["X"] * len(tokens), list(tokens))


@pytest.fixture(scope="module")
def model():
    model = ModelProcess(Predictor)
    model.wait()
    yield model
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
        model.predict_sentences([sentence("fail")])
    assert "in predict_batch_instance" in str(raised.value.__cause__)
    assert model.predict_sentences([sentence("a")])[0]["tokens"] == ["a"]


def test_an_error_that_cannot_be_sent_is_told(model):
    with pytest.raises(RuntimeError, match="UnpicklableError: one and two"):
        model.predict_sentences([sentence("raise")])


def test_an_error_that_looks_like_the_end_of_the_process_is_the_predictors(model):
    number = model._process.pid
    with pytest.raises(EOFError, match="of the predictor"):
        model.predict_sentences([sentence("eof")])
    assert model._process.pid == number


def test_a_process_that_ends_is_replaced(model, caplog):
    with pytest.raises(ModelProcessError, match="ended with status 7"):
        model.predict_sentences([sentence("die")])
    assert "ended with status 7, another one is started" in caplog.text
    assert model.predict_sentences([sentence("a")])[0]["tokens"] == ["a"]


def test_signals_to_all_processes_do_not_end_it_before_its_work(model):
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(model._process.pid, number)
    time.sleep(0.1)
    assert model.predict_sentences([sentence("a")])[0]["tokens"] == ["a"]


def test_what_loading_raises_is_raised():
    model = ModelProcess(load_nothing)
    with pytest.raises(ConfigurationError) as raised:
        model.wait()
    assert (str(raised.value), raised.value.__cause__) == ("no such archive", None)
    model.close()


def test_a_process_that_ends_while_it_loads_is_an_error():
    model = ModelProcess(die)
    with pytest.raises(ModelProcessError, match="ended with status 7"):
        model.wait()
    model.close()


def test_closing_ends_the_process():
    model = ModelProcess(Predictor)
    model.wait()
    model.close()
    assert model._process.exitcode == 0
