import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional, Protocol

from allennlp.common.util import JsonDict

from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.predictors.sentence_input import SentenceTagger
from spigot_allennlp.server.model_process import ModelProcessError

_READING_SECONDS = 0.05  # Then what was read is predicted, however much more there is that is slow to read.


class SentenceModel(Protocol):
    """What the server needs of a [`SentencePredictor`](../predictors/sentence.md), which may be in another process."""

    tagger: SentenceTagger

    def predict_sentences(self, sentences: Sequence[TaggedSentence]) -> list[JsonDict]: ...


class QueueFullError(Exception):
    """As many requests are pending as are allowed."""


class MicroBatcher:
    """
    Has models predict for many requests at once, each model in a thread. What arrives while they are busy goes into the
    next batch, and nothing waits for a batch to fill.

    # Parameters

    models : `Sequence[SentenceModel]`
        Each predicts a batch of its own.
    size : `Callable[[TaggedSentence], int]`
        What a sentence adds to the size of a batch.
    max_batch_size : `int`
        The largest batch. A sentence that is larger goes alone.
    max_pending : `int`
        The most requests that are accepted and not answered.
    on_batch : `Callable[[int], Any]`, optional
        Is told the number of sentences of each batch.
    """

    def __init__(
        self,
        models: Sequence[SentenceModel],
        size: Callable[[TaggedSentence], int],
        max_batch_size: int,
        max_pending: int,
        on_batch: Callable[[int], Any] = lambda num_sentences: None,
    ) -> None:
        self._size = size
        self._max_batch_size = max_batch_size
        self._on_batch = on_batch
        self._max_pending = max_pending
        self._num_pending = 0
        self._arrived: deque[_Request] = deque()
        self._waiting: deque[_Sentence] = deque()
        self._closed = False
        self._changed = threading.Condition()  # guards the four above
        self._workers = [threading.Thread(target=self._run, args=(model,), daemon=True) for model in models]
        for worker in self._workers:
            worker.start()

    def submit(self, read: Callable[[SentenceTagger], Sequence[TaggedSentence]]) -> "Future[list[JsonDict]]":
        """
        Accepts a request. Its sentences are what `read` returns, which one of the threads calls with the tagger
        of its model. Cancelling the future that is returned takes out of the queue what has not begun.

        # Returns

        `Future[list[JsonDict]]`
            The outputs of the sentences, or the exception of `read` or of the model. The latter has, where it is about
            a single sentence, its `position` among those of `read`.

        # Raises

        `QueueFullError`, if `max_pending` are pending already; `RuntimeError` after `close`.
        """
        request = _Request(read)
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            if self._num_pending == self._max_pending:
                raise QueueFullError
            self._num_pending += 1
            self._arrived.append(request)
            self._changed.notify()
        request.answer.add_done_callback(self._count_as_done)
        return request.answer

    @property
    def num_pending(self) -> int:
        """The requests that are accepted and not answered."""
        return self._num_pending

    def close(self) -> None:
        """Finishes what was accepted, and ends the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    def _count_as_done(self, answer: "Future[list[JsonDict]]") -> None:
        with self._changed:
            self._num_pending -= 1

    def _run(self, model: SentenceModel) -> None:
        while self._has_work():
            stop = time.monotonic() + _READING_SECONDS
            while time.monotonic() < stop and (request := self._next_request()):
                self._read(request, model)
            if batch := self._next_batch():
                self._predict(batch, model)

    def _has_work(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._arrived or self._waiting or self._closed)
            return bool(self._arrived or self._waiting)

    def _next_request(self) -> "Optional[_Request]":
        with self._changed:
            is_enough = sum(sentence.size for sentence in self._waiting) >= self._max_batch_size
            return self._arrived.popleft() if self._arrived and not is_enough else None

    def _read(self, request: "_Request", model: SentenceModel) -> None:
        if request.answer.done():
            return
        try:
            sentences = [
                _Sentence(request, position, sentence, self._size(sentence))
                for position, sentence in enumerate(request.read(model.tagger))
            ]
        except Exception as error:
            request.fail(error)
            return
        request.expect(len(sentences))
        with self._changed:
            self._waiting.extend(sentences)

    def _next_batch(self) -> "list[_Sentence]":
        batch: list[_Sentence] = []
        free = self._max_batch_size
        with self._changed:
            while self._waiting and (not batch or self._waiting[0].size <= free):
                sentence = self._waiting.popleft()
                if not sentence.request.answer.done():
                    batch.append(sentence)
                    free -= sentence.size
            if self._waiting:
                self._changed.notify()
        return batch

    def _predict(self, batch: "list[_Sentence]", model: SentenceModel) -> None:
        try:
            self._on_batch(len(batch))
            outputs = model.predict_sentences([sentence.content for sentence in batch])
            answered = list(zip(batch, outputs, strict=True))
        except Exception as error:
            if len(batch) == 1:
                error.position = batch[0].position
            if len(batch) == 1 or isinstance(error, ModelProcessError):
                for sentence in batch:
                    sentence.request.fail(error)
                return
            for sentence in batch:  # The failure of one is not to be that of all.
                if not sentence.request.answer.done():
                    self._predict([sentence], model)
            return
        for sentence, output in answered:
            sentence.request.receive(sentence.position, output)


@dataclass(eq=False)
class _Request:
    read: Callable[[SentenceTagger], Sequence[TaggedSentence]]
    answer: "Future[list[JsonDict]]" = field(default_factory=Future)
    lock: threading.Lock = field(default_factory=threading.Lock)  # sentences of one request may be in several batches

    def expect(self, num_sentences: int) -> None:
        self._outputs: list[Any] = [None] * num_sentences
        self._num_missing = num_sentences
        if not num_sentences:
            self._settle(self.answer.set_result, [])

    def receive(self, position: int, output: Any) -> None:
        with self.lock:
            self._outputs[position] = output
            self._num_missing -= 1
            is_complete = not self._num_missing
        if is_complete:
            self._settle(self.answer.set_result, self._outputs)

    def fail(self, error: Exception) -> None:
        self._settle(self.answer.set_exception, error)

    def _settle(self, settle: Callable[[Any], None], value: Any) -> None:
        try:
            settle(value)
        except InvalidStateError:  # It was cancelled, or has failed, in the meantime.
            pass


class _Sentence(NamedTuple):
    request: _Request
    position: int
    content: TaggedSentence
    size: int
