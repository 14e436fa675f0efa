import gc
import logging
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.pool import ExceptionWithTraceback
from operator import attrgetter
from typing import Any, Optional

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict

from spigot_allennlp.bad_input import explain
from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.predictors.sentence import SentencePredictor

logger = logging.getLogger(__name__)

# A fork of a process that has imported what is needed, and nothing else: it starts at once and shares that memory.
_CONTEXT = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)

_CLOSED = (EOFError, BrokenPipeError, ConnectionResetError)
"""What happens at a connection whose other side is closed, as it is when the process there has ended."""


class ModelProcessError(Exception):
    """The process of a model ended before it was to."""


class ModelProcess:
    """
    A predictor in a process of its own, which does all the work, so that this one has time to answer. For one thread
    at a time. Where the process ends by itself, for example for lack of memory, another one takes its place.

    # Parameters

    load : `Callable[[], SentencePredictor]`
        Makes the predictor there; can be pickled.
    """

    def __init__(self, load: Callable[[], SentencePredictor]) -> None:
        _CONTEXT.set_forkserver_preload(["spigot_allennlp"])
        self._load = load
        self.tagger = _Tagger(self._call)
        self._start()

    def wait(self) -> None:
        """
        Until the predictor is loaded. Raises what loading it raised, but a `ConfigurationError` where the user's input
        is to blame, and a `ModelProcessError` if the process ended.
        """
        self._receive()

    def predict_sentences(self, sentences: Sequence[TaggedSentence]) -> list[JsonDict]:
        """As [`SentencePredictor`](../predictors/sentence.md). Raises a `ModelProcessError` if the process ended."""
        return self._call("predict_sentences", sentences)

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _start(self) -> None:
        self._connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(self._load, theirs), name="model", daemon=True)
        self._process.start()
        theirs.close()

    def _call(self, name: str, *args: Any) -> Any:
        try:
            with suppress(*_CLOSED):  # which the answer, or the lack of it, tells
                self._connection.send((name, args))
            return self._receive()
        except ModelProcessError as error:
            logger.error("%s, another one is started", error)
            self._connection.close()
            self._start()
            self.wait()
            raise

    def _receive(self) -> Any:
        try:
            result, error = self._connection.recv()
        except _CLOSED:
            self._process.join()
            raise ModelProcessError(f"the process of the model ended with status {self._process.exitcode}") from None
        if error is not None:
            raise error
        return result


class _Tagger:
    """The tagger of a predictor in another process."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def sentence(self, text: str, max_tokens: Optional[int]) -> TaggedSentence:
        return self._call("tagger.sentence", text, max_tokens)

    def sentences(self, text: str, max_tokens: Optional[int]) -> list[TaggedSentence]:
        return self._call("tagger.sentences", text, max_tokens)

    def tag(self, tokens: Sequence[str]) -> TaggedSentence:
        return self._call("tagger.tag", tokens)


def _work(load: Callable[[], SentencePredictor], connection: Connection) -> None:
    if hasattr(os, "nice"):
        os.nice(5)  # An answer that is ready, and /health, go before the next batch.
    # A signal that was meant for all processes of the server: the one that answers says when it is over.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        predictor = load()
    except Exception as error:
        explanation = explain(error)  # here, where the traceback is
        with suppress(*_CLOSED):
            connection.send((None, _picklable(error) if explanation is None else ConfigurationError(explanation)))
        return
    # What is there now stays. To look through it for garbage would take a third of a second each time.
    gc.collect()
    gc.freeze()
    with suppress(*_CLOSED):
        connection.send((None, None))
        while True:
            name, args = connection.recv()
            try:
                reply = attrgetter(name)(predictor)(*args), None
            except Exception as error:
                reply = None, _picklable(error)
            connection.send(reply)


def _picklable(error: Exception) -> Any:
    """The exception with its traceback."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return ExceptionWithTraceback(error, error.__traceback__)
