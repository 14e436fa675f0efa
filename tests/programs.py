"""
Programs that tests run beside themselves. They are forks of a process that has imported the framework, which takes
longer than most tests, and nothing of this package. Only what is about the interpreter itself gets a new one: here no
`atexit` handlers run, and variables that an interpreter reads when it starts change nothing.
"""

import multiprocessing
import multiprocessing.process
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

from tests import FIXTURES_ROOT, PATIENCE

ROOT = FIXTURES_ROOT.parent
THE_COMMAND = "from allennlp.__main__ import run; run()"
"""What the script `allennlp` does."""


def context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["allennlp.commands", "torch._dynamo", "numba"])
    return context


class Program:
    """
    A program that has been started in a folder: Python code, and what it finds as `sys.argv[1:]`. What it writes is
    found in `out` and `errors`.
    """

    def __init__(
        self, code: str, *arguments: object, folder: Path = ROOT, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._files = [Path(tempfile.mkstemp()[1]) for _ in range(2)]
        arguments = (code, [*map(str, arguments)], folder, dict(environment), self._files)
        self._process = context().Process(target=_run, args=arguments)
        self._process.start()

    @property
    def status(self) -> int | None:
        """The exit status, negative after a signal, and `None` while the program runs."""
        return self._process.exitcode

    @property
    def out(self) -> str:
        return self._files[0].read_text(encoding="utf-8")

    @property
    def errors(self) -> str:
        return self._files[1].read_text(encoding="utf-8")

    def send(self, sent: signal.Signals) -> None:
        os.kill(self._process.pid, sent)

    def wait(self, seconds: float = 5 * PATIENCE) -> "Program":
        """Until it has ended; else it is killed."""
        self._process.join(seconds)
        self.kill()
        return self

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def run(code: str, *arguments: object, folder: Path = ROOT, environment: Mapping[str, str] = os.environ) -> Program:
    """A program that has ended."""
    return Program(code, *arguments, folder=folder, environment=environment).wait()


def kill_and_interrupt(processes: Sequence[Program], begun: Callable[[], bool]) -> None:
    """
    Ends two programs that run once `begun` says so, the first at once and the second as a user does: it is to end with
    status 130 and without a traceback.
    """
    try:
        while not begun():
            assert [process.status for process in processes] == [None, None]
            time.sleep(0.02)
        for process, sent in zip(processes, (signal.SIGKILL, signal.SIGTERM), strict=True):
            process.send(sent)
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.kill()
    assert [process.status for process in processes] == [-signal.SIGKILL, 130], processes[1].errors
    assert "Traceback" not in processes[1].errors


def _run(code: str, arguments: list[str], folder: Path, environment: dict[str, str], files: list[Path]) -> None:
    for stream, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY), stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["allennlp", *arguments]
    multiprocessing.process._parent_process = None  # it is nobody's worker
    try:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)
    finally:
        # As an interpreter ends: threads, pools among them, before what multiprocessing closes.
        threading._shutdown()
