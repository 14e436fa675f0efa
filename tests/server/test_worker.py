import asyncio
import logging

import pytest

from spigot_allennlp.server import worker as worker_module
from spigot_allennlp.server.answerer import Answer, Asked
from spigot_allennlp.server.limits import Limits
from spigot_allennlp.server.model_process import ModelProcessError, ModelProcessGoneError
from spigot_allennlp.server.request_queue import RequestQueue
from spigot_allennlp.server.worker import Worker


class Model:
    """Answers each object with its name, as soon as `may_answer` is set; to `die` by an error. Counts what it does."""

    def __init__(self, house):
        self.house = house
        self.number = len(house.models)
        self.is_closed = False
        self.batches = []
        house.models.append(self)

    async def start(self):
        await self.house.may_start.wait()
        if self.number in self.house.broken:
            raise OSError("no memory")

    async def answer(self, objects):
        assert not self.is_closed
        if self.number in self.house.gone:
            raise ModelProcessGoneError("it was gone")
        names = [asked.json_dict for asked in objects]
        self.batches.append(names)
        await self.house.may_answer.wait()
        if "die" in names:
            raise ModelProcessError("it died")
        return [Answer(200, name, num_sentences=1) for name in names]

    def close(self):
        self.is_closed = True


class House:
    """Models, and a worker who uses them."""

    def __init__(self, broken=(), **limits):
        self.models = []
        self.broken = broken
        self.gone = set()
        self.may_start, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_start.set()
        self.may_answer.set()
        self.sizes = []
        limits = Limits(**limits)
        self.queue = RequestQueue(limits)
        self.worker = Worker(lambda: Model(self), self.queue, limits, self.sizes.append)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.worker.run())
        return self

    async def __aexit__(self, *error):
        self.task.cancel()
        await asyncio.wait([self.task])
        assert all(model.is_closed for model in self.models)

    async def ask(self, *names):
        answers = await asyncio.wait_for(self.queue.ask([Asked(name) for name in names], [1] * len(names)), 10)
        return [answer.content for answer in answers]


async def until(condition):
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it does not come")


def test_what_arrives_while_the_model_is_busy_goes_into_one_batch():
    async def run():
        async with House() as house:
            house.may_answer.clear()
            requests = [asyncio.create_task(house.ask("a"))]
            await until(lambda: house.models and house.models[0].batches)
            requests += [asyncio.create_task(house.ask(name)) for name in "bcd"]
            await until(lambda: house.queue.num_pending == 4)
            house.may_answer.set()
            assert await asyncio.gather(*requests) == [["a"], ["b"], ["c"], ["d"]]
            assert house.models[0].batches == [["a"], ["b", "c", "d"]]
            assert house.sizes == [1, 3]

    asyncio.run(run())


def test_it_is_ready_when_the_model_is():
    async def run():
        async with House() as house:
            house.may_start.clear()
            request = asyncio.create_task(house.ask("a"))
            await asyncio.sleep(0.01)
            assert not house.worker.is_ready
            house.may_start.set()
            assert await request == ["a"] and house.worker.is_ready

    asyncio.run(run())


def test_what_loading_the_first_model_raises_is_raised():
    async def run():
        async with House(broken={0}) as house:
            with pytest.raises(OSError, match="no memory"):
                await house.task

    asyncio.run(run())


def test_a_model_that_dies_fails_its_batch_alone_and_is_replaced(caplog):
    async def run():
        async with House() as house:
            assert await house.ask("a") == ["a"]
            house.may_start.clear()
            house.may_answer.clear()
            requests = [asyncio.create_task(house.ask("b", "die"))]
            await until(lambda: len(house.models[0].batches) == 2)
            requests.append(asyncio.create_task(house.ask("c")))
            house.may_answer.set()
            assert await requests[0] == ["it died"]
            await until(lambda: len(house.models) == 2)
            assert house.models[0].is_closed and not house.worker.is_ready
            house.may_start.set()
            assert await requests[1] == ["c"]
            assert [model.batches for model in house.models] == [[["a"], ["b", "die"]], [["c"]]]

    asyncio.run(run())
    assert "it died, another one is started" in caplog.text


def test_what_a_model_was_asked_that_was_gone_waits_for_the_next_one(caplog):
    async def run():
        async with House() as house:
            assert await house.ask("a") == ["a"]
            house.gone = {0, 1}
            assert await house.ask("b", "c") == ["b", "c"]
            assert house.models[0].is_closed and house.models[1].is_closed
            assert [model.batches for model in house.models] == [[["a"]], [], [["b", "c"]]]
            assert house.sizes == [1, 2] and house.queue.num_pending == 0

    asyncio.run(run())
    assert caplog.text.count("it was gone, another one is started") == 2


def test_a_replacement_that_cannot_be_loaded_is_tried_again(monkeypatch, caplog):
    monkeypatch.setattr(worker_module, "_FIRST_DELAY", 0.001)

    async def run():
        async with House(broken={1, 2}) as house:
            await house.ask("die")
            assert await house.ask("a") == ["a"]
            assert [model.batches for model in house.models] == [[["die"]], [], [], [["a"]]]

    asyncio.run(run())
    assert "in 0.001 seconds: no memory" in caplog.text and "in 0.002 seconds: no memory" in caplog.text


def test_a_model_that_has_predicted_enough_works_on_until_its_successor_is_warm(caplog):
    caplog.set_level(logging.ERROR)

    async def run():
        async with House(max_sentences_per_process=3) as house:
            await house.ask("a", "b")
            house.may_start.clear()
            await house.ask("c")
            for name in "de":
                assert await house.ask(name) == [name]
            assert len(house.models) == 2 and not house.models[0].is_closed
            house.may_start.set()
            await until(lambda: house.models[0].is_closed)  # and nobody asks anything
            assert await house.ask("f", "g") == ["f", "g"]
            assert [model.batches for model in house.models] == [[["a", "b"], ["c"], ["d"], ["e"]], [["f", "g"]]]

    asyncio.run(run())
    assert not caplog.text


def test_a_busy_model_is_not_closed_before_it_has_answered():
    async def run():
        async with House(max_sentences_per_process=2) as house:
            await house.ask("a")
            house.may_start.clear()
            await house.ask("b")
            house.may_answer.clear()
            request = asyncio.create_task(house.ask("c"))
            await until(lambda: len(house.models[0].batches) == 3)
            house.may_start.set()
            await asyncio.sleep(0.01)
            assert not house.models[0].is_closed
            house.may_answer.set()
            assert await request == ["c"] and await house.ask("d") == ["d"]
            assert house.models[0].is_closed and house.models[1].batches == [["d"]]

    asyncio.run(run())


def test_the_answer_to_a_request_that_is_cancelled_is_dropped():
    async def run():
        async with House() as house:
            house.may_answer.clear()
            request = asyncio.create_task(house.ask("a"))
            await until(lambda: house.models and house.models[0].batches)
            request.cancel()
            house.may_answer.set()
            assert await house.ask("b") == ["b"]

    asyncio.run(run())


def test_an_error_in_our_own_code_fails_the_batch_and_not_the_worker(monkeypatch):
    async def answer(self, objects):
        raise ArithmeticError("a bug")

    async def run():
        async with House() as house:
            with monkeypatch.context() as patch:
                patch.setattr(Model, "answer", answer)
                (message,) = await house.ask("a")
                assert "ArithmeticError: a bug" in message
            assert await house.ask("b") == ["b"]
            assert len(house.models) == 1

    asyncio.run(run())
