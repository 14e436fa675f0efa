import atexit
import gc
import logging
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from operator import attrgetter
from typing import Any, Optional

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict

from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.framework.bad_input import explain
from spigot_allennlp.predictors.sentence import SentencePredictor

logger = logging.getLogger(__name__)

# A new interpreter, whatever the system: after a fork there is no CUDA.
_CONTEXT = multiprocessing.get_context("spawn")


class ModelProcessError(Exception):
    """The process of a model ended before it was to, or had to be ended; the message says how."""


class ModelProcess:
    """
    A predictor in a process of its own, which does all the work, so that this one has time to answer. Where that
    process ends by itself, for example for lack of memory, another one takes its place. Only one thread at a time may
    call it; any may close it. As with all such processes, a script that makes one has to be importable: what it does
    stands under `if __name__ == "__main__":`.

    # Parameters

    load : `Callable[[], SentencePredictor]`
        Makes the predictor there; can be pickled.
    timeout : `float`, optional (default = `None`)
        After so many seconds without an answer the process is replaced. By default there is no limit.
    """

    def __init__(self, load: Callable[[], SentencePredictor], timeout: Optional[float] = None) -> None:
        self.tagger = _RemoteTagger(self._call)
        self._load = load
        self._timeout = timeout
        self._lock = threading.Lock()  # held while a process is started or ended
        self._closed = False
        self._start()
        atexit.register(self.close)  # or multiprocessing would wait for the process for ever

    def wait_until_loaded(self) -> None:
        """
        # Raises

        What loading the predictor raised, but a `ConfigurationError` where the user's input is to blame;
        `ModelProcessError`, if the process ended.
        """
        if not self._is_loaded:
            self._receive()
            self._is_loaded = True

    def predict_sentences(self, sentences: Sequence[TaggedSentence]) -> list[JsonDict]:
        """As [`SentencePredictor`](../predictors/sentence.md). Raises a `ModelProcessError` if the process ended."""
        return self._call("predict_sentences", sentences)

    def close(self) -> None:
        """Ends the process, whatever it is doing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._end()
        atexit.unregister(self.close)

    def _call(self, name: str, *args: Any) -> Any:
        try:
            self._wait_for_replacement()
            with suppress(OSError):  # Why, receiving tells.
                self._connection.send_bytes(pickle.dumps((name, args)))
            return self._receive(self._timeout)
        except ModelProcessError as error:
            logger.error("%s, another one is started", error)
            with self._lock:
                if not self._closed:
                    self._end()
                    with suppress(OSError):  # The next call tries again.
                        self._start()
            raise

    def _wait_for_replacement(self) -> None:
        try:
            self.wait_until_loaded()
        except Exception as error:
            raise ModelProcessError(f"the process of the model cannot load it: {error}") from error

    def _receive(self, timeout: Optional[float] = None) -> Any:
        try:
            if not self._connection.poll(timeout):
                raise ModelProcessError(f"the process of the model did not answer for {timeout} seconds")
            reply = self._connection.recv_bytes()
        except (EOFError, OSError):
            if self._process.pid is not None:
                self._process.join(timeout=1)
            raise ModelProcessError(f"the process of the model ended with status {self._process.exitcode}") from None
        result, error, trace = pickle.loads(reply)
        if error is not None:
            raise error from (None if trace is None else _RemoteError(trace))
        return result

    def _start(self) -> None:
        self._connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(self._load, theirs), name="model", daemon=True)
        self._is_loaded = False
        try:
            self._process.start()
        finally:
            theirs.close()

    def _end(self) -> None:
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()
        self._connection.close()


class _RemoteError(Exception):
    """Says, as the cause of what was raised in another process, where that was."""


class _RemoteTagger:
    """The tagger of a predictor in another process."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def sentence(self, text: str, max_tokens: Optional[int]) -> TaggedSentence:
        return self._call("tagger.sentence", text, max_tokens)

    def sentences(self, text: str, max_tokens: Optional[int]) -> list[TaggedSentence]:
        return self._call("tagger.sentences", text, max_tokens)

    def tag(self, tokens: Sequence[str]) -> TaggedSentence:
        return self._call("tagger.tag", tokens)


def _serve(load: Callable[[], SentencePredictor], connection: Connection) -> None:
    """Answers what comes through the connection, until its other side is closed."""
    if hasattr(os, "nice"):
        os.nice(5)  # An answer that is ready, and /health, go before the next batch.
    # A signal that was meant for all processes of the server: the one that answers says when it is over.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        try:
            predictor = load()
        except Exception as error:
            connection.send_bytes(_failure(_explained(error)))
            return
        # What is there now stays. To look through it for garbage would take a third of a second each time.
        gc.collect()
        gc.freeze()
        connection.send_bytes(_success(None))
        while True:
            name, args = pickle.loads(connection.recv_bytes())
            try:
                reply = _success(attrgetter(name)(predictor)(*args))
            except Exception as error:
                reply = _failure(error)
            connection.send_bytes(reply)


def _explained(error: Exception) -> Exception:
    explanation = None if os.environ.get("ALLENNLP_DEBUG") else explain(error)
    return error if explanation is None else ConfigurationError(explanation)


def _success(result: Any) -> bytes:
    return pickle.dumps((result, None, None))


def _failure(error: Exception) -> bytes:
    trace = "".join(traceback.format_exception(error)) if error.__traceback__ is not None else None
    try:
        reply = pickle.dumps((None, error, trace))
        pickle.loads(reply)
    except Exception:
        return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}"), trace))
    return reply
