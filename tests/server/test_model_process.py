import asyncio
import json
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.server import model_process
from spigot_allennlp.server.answerer import Asked
from spigot_allennlp.server.limits import Limits
from spigot_allennlp.server.model_process import ModelProcess, ModelProcessError, ModelProcessGoneError
from spigot_allennlp.server.request_queue import RequestQueue
from spigot_allennlp.server.worker import Worker
from tests import PATIENCE, programs
from tests.server.echo import EchoPredictor


class UnpicklableError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class Predictor(EchoPredictor):
    """Does what the first token says."""

    def predict_batch_instance(self, instances):
        first, *others = instances[0]["metadata"].metadata["tokens"]
        match first:
            case "die":
                os._exit(7)
            case "sleep":
                for path in others:
                    Path(path).touch()
                time.sleep(60)
            case "pid":
                return [{"pid": os.getpid()}]
            case "raise":
                raise UnpicklableError("one", "two")
        return super().predict_batch_instance(instances)


class SlowPredictor(Predictor):
    """Is slow once, when it warms up."""

    def predict_batch_instance(self, instances):
        if not self.batches:
            time.sleep(1)
        return super().predict_batch_instance(instances)


def refuse():
    raise ConfigurationError("no such archive")


def refuse_in_our_own_words():
    raise UnpicklableError("one", "two")


def die():
    os._exit(7)


def sleep(path):
    path.touch()
    time.sleep(60)


async def ask(model, *tokens):
    (answer,) = await model.answer([Asked({"tokens": [*tokens], "tags": ["X"] * len(tokens), "lemmas": [*tokens]})])
    return answer


async def pid(model):
    return json.loads((await ask(model, "pid")).content)["pid"]


@pytest.fixture
def run(quick_model_processes):
    """Runs a test with a model that is started, and closed after it."""

    def run(test, load=Predictor, **limits):
        async def started():
            model = ModelProcess(load, Limits(**{"process_timeout": PATIENCE, **limits}))
            try:
                await model.start()
                await test(model)
            finally:
                model.close()

        asyncio.run(started())

    return run


async def nothing(model): ...


async def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        await asyncio.sleep(0.01)


def ends(number):
    """Whether a process is not there any more, soon."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if "\nState:\tZ" in Path(f"/proc/{number}/status").read_text():  # and whoever inherited it does not look
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_it_answers_what_the_predictor_answers(run):
    async def test(model):
        objects = [{"text": "a b. c"}, {"sentence": "fail"}]
        answers = await model.answer([Asked(json_dict, pictures=True) for json_dict in objects])
        assert [answer.status for answer in answers] == [200, 500] and "a secret of the model" in answers[1].content
        expected = EchoPredictor().predict_json(objects[0])["sentences"]
        found = json.loads(answers[0].content)["sentences"]
        assert [output.pop("pictures").keys() for output in found] == [{"tree", "graph"}] * 2
        assert found == expected

    run(test)


def test_whatever_goes_wrong_in_the_predictor_the_process_stays(run):
    async def test(model):
        number = await pid(model)
        answer = await ask(model, "raise")
        assert answer.status == 500 and "UnpicklableError: one and two" in answer.content
        assert await pid(model) == number

    run(test)


def test_signals_to_all_processes_do_not_end_it_before_its_work(run):
    async def test(model):
        number = await pid(model)
        for kind in (signal.SIGTERM, signal.SIGINT):
            os.kill(number, kind)
        assert await pid(model) == number

    run(test)


def test_a_process_that_ends_is_an_error(run):
    async def test(model):
        for token in ("die", "a"):
            with pytest.raises(ModelProcessError, match="the process of the model ended"):
                await ask(model, token)

    run(test)


def test_a_process_that_ended_while_idle_is_replaced_before_it_is_asked(quick_model_processes, caplog):
    async def run():
        limits = Limits(process_timeout=PATIENCE)
        models = []

        def make():
            models.append(ModelProcess(Predictor, limits))
            return models[-1]

        queue = RequestQueue(limits)
        working = asyncio.create_task(Worker(make, queue, limits).run())
        sentence = Asked({"tokens": ["pid"], "tags": ["X"], "lemmas": ["pid"]})
        try:
            numbers = []
            for _ in range(2):
                (answer,) = await asyncio.wait_for(queue.ask([sentence], [1]), PATIENCE)
                numbers.append(json.loads(answer.content)["pid"])
                os.kill(numbers[-1], signal.SIGKILL)
                await until(lambda: models[-1]._pool._broken)
            assert numbers[0] != numbers[1] and len(models) == 2
            with pytest.raises(ModelProcessGoneError, match="ended while nobody asked it"):
                await models[-1].answer([sentence])
        finally:
            working.cancel()
            await asyncio.wait([working])

    asyncio.run(run())
    assert "ended while nobody asked it, another one is started" in caplog.text


def test_a_process_that_does_not_answer_is_an_error(run):
    async def test(model):
        (number,) = model._pool._processes
        with pytest.raises(ModelProcessError, match=r"did not answer for 0\.5 seconds"):
            await ask(model, "sleep")
        model.close()
        assert ends(number)

    run(test, process_timeout=0.5)


def test_warming_up_has_a_limit_of_its_own(run):
    run(nothing, SlowPredictor, timeout=0.5, process_timeout=0.5)
    with pytest.raises(ModelProcessError, match=r"did not answer for 0\.5 seconds"):
        run(nothing, SlowPredictor, start_timeout=0.5)


@pytest.mark.parametrize(
    "load, error, message",
    [
        (refuse, ConfigurationError, "^no such archive$"),
        (refuse_in_our_own_words, RuntimeError, "^UnpicklableError: one and two$"),
        (die, ModelProcessError, "ended"),
    ],
)
def test_what_loading_raises_is_raised(run, load, error, message):
    with pytest.raises(error, match=message):
        run(nothing, load)


def test_whoever_debugs_gets_the_error_of_loading_itself(monkeypatch):
    with pytest.raises(ConfigurationError) as raised:
        refuse()
    error = raised.value
    assert model_process._sendable(error) is not error
    monkeypatch.setenv("ALLENNLP_DEBUG", "1")
    assert model_process._sendable(error) is error


def test_closing_ends_what_it_is_doing(run, tmp_path):
    async def test(model):
        number = await pid(model)
        begun = tmp_path / "begun"
        call = asyncio.create_task(ask(model, "sleep", str(begun)))
        await until(begun.exists)
        model.close()
        with pytest.raises(ModelProcessError):
            await call
        assert ends(number)

    run(test)


def test_closing_ends_it_while_it_loads(quick_model_processes, tmp_path):
    async def close():
        begun = tmp_path / "begun"
        model = ModelProcess(partial(sleep, begun), Limits())
        start = asyncio.create_task(model.start())
        await until(begun.exists)
        model.close()
        with pytest.raises(ModelProcessError):
            await asyncio.wait_for(start, PATIENCE)

    asyncio.run(close())


PROGRAM = """
import asyncio, multiprocessing, os, signal
from tests.server.test_model_process import Limits, ModelProcess, Predictor, model_process, pid

async def run():
    model = ModelProcess(Predictor, Limits())
    await model.start()
    print(await pid(model), flush=True)
    {end}

model_process._CONTEXT = multiprocessing.get_context("fork")  # sooner than a new interpreter
asyncio.run(run())
"""


@pytest.mark.slow
@pytest.mark.parametrize("end, status", [("", 0), ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL)])
def test_it_ends_with_a_program_that_does_not_close_it(end, status):
    program = programs.run(PROGRAM.format(end=end))
    assert program.status == status, program.errors
    assert ends(int(program.out))
