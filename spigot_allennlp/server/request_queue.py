import asyncio
import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from spigot_allennlp.server.answerer import Answer, Asked
from spigot_allennlp.server.limits import Limits


class QueueFullError(Exception):
    """As much is pending as is allowed."""


@dataclass(order=True)
class Waiting:
    """An object that waits for a model, and the answer that somebody waits for."""

    turn: tuple[float, int]
    asked: Asked = field(compare=False)
    size: int = field(compare=False)
    answer: "asyncio.Future[Answer]" = field(compare=False)


class RequestQueue:
    """
    What waits for the models, short requests before long ones: a request lets those go first that come after it by
    less than a time which grows with its tokens, and is half of `timeout` for the longest that is allowed. So each has
    its turn. For use by one event loop.

    # Parameters

    limits : `Limits`
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._seconds_per_token = limits.timeout / 2 / limits.max_tokens
        self._numbers = itertools.count()
        self._waiting: list[Waiting] = []  # a heap
        self._arrived = asyncio.Condition()
        self.num_pending = 0
        """The requests that are accepted and not answered."""
        self.num_pending_tokens = 0
        """Their tokens."""

    async def ask(self, objects: Sequence[Asked], sizes: Sequence[int]) -> list[Answer]:
        """
        The answers to the objects of a request, in their order, up to the first that is not good: what comes after it
        is dropped. So is, if this is cancelled, whatever has not begun.

        # Parameters

        objects : `Sequence[Asked]`
        sizes : `Sequence[int]`
            How many tokens they have, about.

        # Raises

        `QueueFullError`, if with it too many requests are pending, or too many tokens.
        """
        num_tokens = sum(sizes)
        if self.num_pending and (
            self.num_pending >= self._limits.max_pending
            or self.num_pending_tokens + num_tokens > self._limits.max_pending_tokens
        ):
            raise QueueFullError
        self.num_pending += 1
        self.num_pending_tokens += num_tokens
        loop = asyncio.get_running_loop()
        turn = loop.time() + self._seconds_per_token * num_tokens
        waiting = [
            Waiting((turn, next(self._numbers)), asked, size, loop.create_future())
            for asked, size in zip(objects, sizes, strict=True)
        ]
        answers: list[Answer] = []
        try:
            async with self._arrived:
                for each in waiting:
                    heapq.heappush(self._waiting, each)
                self._arrived.notify(len(waiting))
            for each in waiting:
                answers.append(await each.answer)
                if answers[-1].status != 200:
                    break
            return answers
        finally:
            for each in waiting:
                each.answer.cancel()
            self.num_pending -= 1
            self.num_pending_tokens -= num_tokens

    async def next_batch(self) -> list[Waiting]:
        """Waits until there is something, and takes as much as may be predicted together; at least one object."""
        async with self._arrived:
            while not (batch := self._take_batch()):
                await self._arrived.wait()
        return batch

    async def put_back(self, batch: Sequence[Waiting]) -> None:
        """Has what `next_batch` gave wait again, in its old turn."""
        async with self._arrived:
            for waiting in batch:
                heapq.heappush(self._waiting, waiting)
            self._arrived.notify(len(batch))

    def _take_batch(self) -> list[Waiting]:
        batch: list[Waiting] = []
        free = self._limits.max_batch_tokens
        while self._waiting and (not batch or self._waiting[0].size <= free):
            waiting = heapq.heappop(self._waiting)
            if not waiting.answer.done():
                batch.append(waiting)
                free -= waiting.size
        return batch
