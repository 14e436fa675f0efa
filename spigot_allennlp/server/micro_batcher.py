import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, Optional, TypeVar

Sentence = TypeVar("Sentence")
Output = TypeVar("Output")


class QueueFullError(Exception):
    """As many requests are pending as are allowed."""


class MicroBatcher(Generic[Sentence, Output]):
    """
    Runs a model for many requests at once, in a few threads. One of them at a time reads what has arrived and forms a
    batch, while the others predict: what arrives meanwhile goes into the next batch, and nothing waits for a batch to
    fill.

    # Parameters

    predict : `Callable[[list[Sentence]], list[Output]]`
        The model: the outputs of a batch of sentences, in order. It is called by several threads at once.
    size : `Callable[[Sentence], int]`
        What a sentence adds to the size of a batch.
    max_batch_size : `int`
        The largest batch. A sentence that is larger goes alone.
    max_pending : `int`
        The most requests that are accepted and not answered.
    num_workers : `int`, optional (default = `1`)
        The threads, each of which predicts a batch of its own.
    on_batch : `Callable[[int], Any]`, optional
        Is told the number of sentences of each batch.
    """

    def __init__(
        self,
        predict: Callable[[list[Sentence]], list[Output]],
        size: Callable[[Sentence], int],
        max_batch_size: int,
        max_pending: int,
        num_workers: int = 1,
        on_batch: Callable[[int], Any] = lambda num_sentences: None,
    ) -> None:
        self._model = predict
        self._size = size
        self._max_batch_size = max_batch_size
        self._on_batch = on_batch
        self._places = threading.Semaphore(max_pending)
        self._arrived: SimpleQueue[Optional[_Request]] = SimpleQueue()  # `None` wakes a thread up to end
        self._waiting: deque[_Sentence] = deque()
        self._closed = False
        self._next = threading.Lock()  # held by the thread that forms a batch
        self._workers = [threading.Thread(target=self._run, name="model", daemon=True) for _ in range(num_workers)]
        for worker in self._workers:
            worker.start()

    def submit(self, read: Callable[[], Sequence[Sentence]]) -> "Future[list[Output]]":
        """
        Accepts a request. Its sentences are what `read` returns, which one of the threads calls. Cancelling the
        future that is returned takes out of the queue what has not begun.

        # Returns

        `Future[list[Output]]`
            The outputs of the sentences, or the exception of `read` or of the model.

        # Raises

        `QueueFullError`, if `max_pending` are pending already.
        """
        if not self._places.acquire(blocking=False):
            raise QueueFullError
        request = _Request(read)
        request.answer.add_done_callback(lambda _: self._places.release())
        self._arrived.put(request)
        return request.answer

    def close(self) -> None:
        """Finishes what was accepted, and ends the threads."""
        self._closed = True
        self._arrived.put(None)
        for worker in self._workers:
            worker.join()

    def _run(self) -> None:
        while True:
            with self._next:
                if not self._waiting:
                    if self._closed and self._arrived.empty():
                        return
                    self._read(self._arrived.get())
                self._read_arrived()
                batch = self._next_batch()
            self._predict(batch)

    def _read_arrived(self) -> None:
        while sum(sentence.size for sentence in self._waiting) < self._max_batch_size:
            try:
                self._read(self._arrived.get_nowait())
            except Empty:
                return

    def _read(self, request: "Optional[_Request]") -> None:
        if request is None or request.answer.done():
            return
        try:
            sentences = request.read()
        except Exception as error:
            request.fail(error)
            return
        request.expect(len(sentences))
        self._waiting.extend(
            _Sentence(request, position, sentence, self._size(sentence)) for position, sentence in enumerate(sentences)
        )

    def _next_batch(self) -> "list[_Sentence]":
        batch: list[_Sentence] = []
        free = self._max_batch_size
        while self._waiting and (not batch or self._waiting[0].size <= free):
            sentence = self._waiting.popleft()
            if not sentence.request.answer.done():
                batch.append(sentence)
                free -= sentence.size
        return batch

    def _predict(self, batch: "list[_Sentence]") -> None:
        if not batch:
            return
        self._on_batch(len(batch))
        try:
            outputs = self._model([sentence.content for sentence in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0].request.fail(error)
                return
            for sentence in batch:  # The failure of one is not to be that of all.
                self._predict([sentence])
            return
        for sentence, output in zip(batch, outputs, strict=True):
            sentence.request.receive(sentence.position, output)


@dataclass(eq=False)
class _Request:
    read: Callable[[], Sequence[Any]]
    answer: "Future[list[Any]]" = field(default_factory=Future)
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
    content: Any
    size: int
