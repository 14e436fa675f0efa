import asyncio
import gc
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Optional

from allennlp.common.checks import ConfigurationError

from spigot_allennlp.framework.bad_input import describe, explain
from spigot_allennlp.predictors.sentence import SentencePredictor
from spigot_allennlp.server.answerer import Answer, Answerer, Asked
from spigot_allennlp.server.limits import Limits

# A new interpreter, whatever the system: after a fork there is no CUDA.
_CONTEXT = multiprocessing.get_context("spawn")
_answerer: Optional[Answerer] = None  # in the process of a model


class ModelProcessError(Exception):
    """The process of a model ended before it was to, or had to be ended; the message says how."""


class ModelProcessGoneError(ModelProcessError):
    """The process of a model had ended before it was asked."""


class ModelProcess:
    """
    An [`Answerer`](./answerer.md) in a process of its own, which does all the work, so that this one has time to
    answer. As with all such processes, a script that makes one has to be importable: what it does stands under
    `if __name__ == "__main__":`.

    # Parameters

    load : `Callable[[], SentencePredictor]`
        Makes the predictor there; can be pickled.
    limits : `Limits`
        After `start_timeout` seconds without a model, or `process_timeout` without an answer, the process is ended.
    """

    def __init__(self, load: Callable[[], SentencePredictor], limits: Limits) -> None:
        self._load = load
        self._limits = limits
        self._pool = ProcessPoolExecutor(1, _CONTEXT, initializer=_prepare)

    async def start(self) -> None:
        """
        Loads the model, and predicts once.

        # Raises

        What loading the predictor raised, but a `ConfigurationError` where the user's input is to blame;
        `ModelProcessError`, if the process ended or took too long.
        """
        await self._run(self._limits.start_timeout, _load, self._load, self._limits)

    async def answer(self, objects: Sequence[Asked]) -> list[Answer]:
        """
        As `Answerer.answer`.

        # Raises

        `ModelProcessError`, if the process ended or took too long; `ModelProcessGoneError`, if it was not there before.
        """
        return await self._run(self._limits.process_timeout, _answer, objects)

    def close(self) -> None:
        """Ends the process, whatever it is doing."""
        for process in list((self._pool._processes or {}).values()):  # which has no public name before Python 3.14
            process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, timeout: float, function: Callable[..., Any], *args: Any) -> Any:
        loop = asyncio.get_running_loop()
        try:
            result = loop.run_in_executor(self._pool, function, *args)
        except BrokenProcessPool:
            raise ModelProcessGoneError("the process of the model ended while nobody asked it") from None
        try:
            return await asyncio.wait_for(result, timeout)
        except asyncio.TimeoutError:
            raise ModelProcessError(f"the process of the model did not answer for {timeout} seconds") from None
        except BrokenProcessPool:
            raise ModelProcessError("the process of the model ended") from None


def _prepare() -> None:
    if hasattr(os, "nice"):
        os.nice(5)  # An answer that is ready, and /health, go before the next batch.
    # A signal that was meant for all processes of the server: the one that answers says when it is over.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Else this process would wait for ever for a server that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _load(load: Callable[[], SentencePredictor], limits: Limits) -> None:
    global _answerer
    try:
        _answerer = Answerer(load(), limits)
        _answerer.warm_up()
    except Exception as error:
        raise _sendable(error) from error
    # What is there now stays. To look through it for garbage would take a third of a second each time.
    gc.collect()
    gc.freeze()


def _answer(objects: Sequence[Asked]) -> list[Answer]:
    assert _answerer is not None
    return _answerer.answer(objects)


def _sendable(error: Exception) -> Exception:
    explanation = None if os.environ.get("ALLENNLP_DEBUG") else explain(error)
    if explanation is not None:
        return ConfigurationError(explanation)
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(describe(error))
    return error
