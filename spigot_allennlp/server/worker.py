import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Optional, Protocol

from spigot_allennlp.server.answerer import Answer, Asked, failure
from spigot_allennlp.server.limits import Limits
from spigot_allennlp.server.model_process import ModelProcessError, ModelProcessGoneError
from spigot_allennlp.server.request_queue import RequestQueue

logger = logging.getLogger(__name__)

_FIRST_DELAY, _LAST_DELAY = 1.0, 60.0  # seconds until it is tried again to load a model


class Model(Protocol):
    """What a worker needs of a [`ModelProcess`](./model_process.md)."""

    async def start(self) -> None: ...

    async def answer(self, objects: Sequence[Asked]) -> list[Answer]: ...

    def close(self) -> None: ...


class Worker:
    """
    Has a model answer what waits in the queue, a batch at a time. A model whose process ends is replaced at once; what
    it was asked when it was already gone waits for its successor. One that has predicted on as many sentences as it may
    works on until its successor is warm.

    # Parameters

    make : `Callable[[], Model]`
    queue : `RequestQueue`
    limits : `Limits`
    on_batch : `Callable[[int], Any]`, optional
        Is told the number of objects of each batch.
    """

    def __init__(
        self,
        make: Callable[[], Model],
        queue: RequestQueue,
        limits: Limits,
        on_batch: Callable[[int], Any] = lambda num_objects: None,
    ) -> None:
        self._make = make
        self._queue = queue
        self._max_sentences = limits.max_sentences_per_process
        self._on_batch = on_batch
        self._model: Optional[Model] = None
        self._is_busy = False
        self._num_sentences = 0
        self._renewal: Optional[asyncio.Task[None]] = None

    @property
    def is_ready(self) -> bool:
        """Whether there is a model that is warm."""
        return self._model is not None

    async def run(self) -> None:
        """Works until it is cancelled, which ends the model. Raises what loading the first one raises."""
        try:
            self._use(await self._started())
            while True:
                batch = await self._queue.next_batch()
                try:
                    answers = await self._answer([waiting.asked for waiting in batch])
                except ModelProcessGoneError:
                    await self._queue.put_back(batch)
                else:
                    self._on_batch(len(batch))
                    for waiting, answer in zip(batch, answers, strict=True):
                        if not waiting.answer.done():
                            waiting.answer.set_result(answer)
                if self._renewal is None and (self._model is None or self._num_sentences >= self._max_sentences):
                    self._renewal = asyncio.create_task(self._renew())
                if self._model is None:
                    await self._renewal
        finally:
            if self._renewal is not None:
                self._renewal.cancel()
                await asyncio.wait([self._renewal])
            if self._model is not None:
                self._model.close()

    async def _answer(self, objects: Sequence[Asked]) -> list[Answer]:
        model, self._is_busy = self._model, True
        assert model is not None
        try:
            answers = await model.answer(objects)
            self._num_sentences += sum(answer.num_sentences for answer in answers)
            return answers
        except ModelProcessError as error:
            logger.error("%s, another one is started", error)
            self._model = None if self._model is model else self._model
            if isinstance(error, ModelProcessGoneError):
                raise
            return [Answer(500, str(error))] * len(objects)
        except Exception as error:
            return [failure(error)] * len(objects)
        finally:
            self._is_busy = False
            if self._model is not model:
                model.close()

    async def _started(self) -> Model:
        model = self._make()
        try:
            await model.start()
        except BaseException:
            model.close()
            raise
        return model

    async def _renew(self) -> None:
        delay = _FIRST_DELAY
        while True:
            try:
                model = await self._started()
                break
            except Exception as error:
                logger.error("the model cannot be loaded, this is tried again in %g seconds: %s", delay, error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_DELAY)
        self._renewal = None
        self._use(model)

    def _use(self, model: Model) -> None:
        old, self._model = self._model, model
        self._num_sentences = 0
        if old is not None and not self._is_busy:  # else it is closed when it has answered
            old.close()
