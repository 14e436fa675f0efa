import asyncio

import pytest

from spigot_allennlp.server.answerer import Answer, Asked
from spigot_allennlp.server.limits import Limits
from spigot_allennlp.server.request_queue import QueueFullError, RequestQueue

SECONDS = 0.5  # by which the largest request lets others go first
LIMITS = {"timeout": 2 * SECONDS, "max_tokens": 100, "max_batch_tokens": 10}


def asked(*names):
    return [Asked({"sentence": name}) for name in names]


class Requests:
    """Requests to a queue, and what models take of it."""

    def __init__(self, **limits):
        self.queue = RequestQueue(Limits(**{**LIMITS, **limits}))

    async def ask(self, **sizes):
        """A request, of objects with these names and sizes, that waits."""
        request = asyncio.create_task(self.queue.ask(asked(*sizes), list(sizes.values())))
        await asyncio.sleep(0)
        return request

    async def take(self, status=200):
        """Answers a batch, each object with its name, and gives the names."""
        batch = await asyncio.wait_for(self.queue.next_batch(), 10)
        names = [waiting.asked.json_dict["sentence"] for waiting in batch]
        for waiting, name in zip(batch, names, strict=True):
            waiting.answer.set_result(Answer(status, name))
        return names


def test_each_request_gets_the_answers_to_its_own_objects():
    async def run():
        requests = Requests()
        waiting = [await requests.ask(**{f"{n}{i}": 1 for i in range(n)}) for n in range(1, 8)]
        while requests.queue.num_pending:
            await requests.take()
            await asyncio.sleep(0)
        for n, request in enumerate(waiting, start=1):
            assert [answer.content for answer in await request] == [f"{n}{i}" for i in range(n)]

    asyncio.run(run())


def test_a_batch_is_as_large_as_it_may_be_and_what_is_larger_goes_alone():
    async def run():
        requests = Requests()
        await requests.ask(a=3, b=7, c=1, d=50, e=9, f=2)
        assert [await requests.take() for _ in range(5)] == [["a", "b"], ["c"], ["d"], ["e"], ["f"]]

    asyncio.run(run())


def test_requests_share_a_batch():
    async def run():
        requests = Requests()
        for name in "abc":
            await requests.ask(**{name: 2})
        assert await requests.take() == ["a", "b", "c"]

    asyncio.run(run())


def test_what_waits_for_objects_gets_them_when_they_come():
    async def run():
        requests = Requests()
        models = [asyncio.create_task(requests.take()) for _ in range(2)]
        await asyncio.sleep(0)
        await requests.ask(a=10, b=10)
        assert sorted(await asyncio.gather(*models)) == [["a"], ["b"]]

    asyncio.run(run())


def test_the_short_go_first_and_the_long_in_time():
    async def run():
        requests = Requests()
        loop = asyncio.get_running_loop()
        now = loop.time()
        loop.time = lambda: now
        await requests.ask(long=100)
        await requests.ask(short=1)
        await requests.ask(middle=50)
        assert [await requests.take() for _ in range(2)] == [["short"], ["middle"]]
        now += 2 * SECONDS
        await requests.ask(late=1)
        assert [await requests.take() for _ in range(2)] == [["long"], ["late"]]

    asyncio.run(run())


def test_a_request_that_is_cancelled_is_not_begun():
    async def run():
        requests = Requests()
        unwanted = await requests.ask(a=9, b=9)
        assert await requests.take() == ["a"]
        await requests.ask(c=9)
        unwanted.cancel()
        await asyncio.sleep(0)
        assert (requests.queue.num_pending, requests.queue.num_pending_tokens) == (1, 9)
        assert await requests.take() == ["c"]

    asyncio.run(run())


def test_after_an_answer_that_is_not_good_the_rest_is_dropped():
    async def run():
        requests = Requests()
        request = await requests.ask(a=9, b=9, c=9)
        await requests.take()
        await requests.take(status=422)
        assert [answer.status for answer in await request] == [200, 422]
        await requests.ask(d=1)
        assert await requests.take() == ["d"]

    asyncio.run(run())


@pytest.mark.parametrize("limits", [{"max_pending": 2}, {"max_pending_tokens": 20}])
def test_too_much_is_refused_until_something_is_answered(limits):
    async def run():
        requests = Requests(**limits)
        accepted = [await requests.ask(a=10), await requests.ask(b=10)]
        with pytest.raises(QueueFullError):
            await requests.queue.ask(asked("c"), [1])
        await requests.take()
        await asyncio.wait(accepted, return_when=asyncio.FIRST_COMPLETED)
        await requests.ask(c=1)
        assert requests.queue.num_pending == 2 and requests.queue.num_pending_tokens == 11

    asyncio.run(run())


def test_one_request_is_never_too_much():
    async def run():
        requests = Requests(max_pending_tokens=20)
        await requests.ask(a=100)
        assert await requests.take() == ["a"]

    asyncio.run(run())
