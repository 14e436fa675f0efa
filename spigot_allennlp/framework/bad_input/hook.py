import atexit
import logging
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Optional

from spigot_allennlp.framework.bad_input.command import Command, running_command
from spigot_allennlp.framework.bad_input.remains import Remains
from spigot_allennlp.framework.bad_input.settings import is_ours


def report() -> None:
    """While the `allennlp` command runs, uncaught errors are told in one line, where they are explained."""
    if (command := running_command()) is not None:
        Report(command).install()
        command.check()


class Report(logging.Filter):
    """
    What becomes of an error that nothing catches. A training of the framework sets a hook of its own, which writes to
    the root logger; so this is also a filter of that.

    # Parameters

    command : `Command`
    """

    def __init__(self, command: Command) -> None:
        super().__init__()
        self._command = command
        self._remains: Optional[Remains] = None
        if self._command.name == "train":
            self._remains = Remains(Path(self._command.options["serialization_dir"]))
        self._excepthook: Callable[..., Any] = sys.__excepthook__

    def install(self) -> None:
        self._excepthook, sys.excepthook = sys.excepthook, self
        logging.getLogger().addFilter(self)
        atexit.register(self._flush)
        if self._command.name == "train" and self._command.is_ours:
            signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, number: int, frame: Optional[FrameType]) -> None:
        sys.excepthook = self  # in place of that of the training, which prints a traceback
        raise KeyboardInterrupt

    def _flush(self) -> None:
        """What is left to print, if there is somebody who reads it."""
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            if self._command.is_ours:
                _forget_output()

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: Optional[TracebackType]) -> None:
        if isinstance(error, (KeyboardInterrupt, BrokenPipeError)) and not _is_debugged() and self._command.is_ours:
            self._stop(error)
        if not self.tell(error):
            self._excepthook(kind, error, traceback)

    def _stop(self, error: BaseException) -> None:
        """Ends the program as a shell expects it, if the user has stopped it, or what reads its output has."""
        if isinstance(error, KeyboardInterrupt):
            self._clean_up(error, "interrupted")
            print("error: interrupted", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)
        if not _is_read():
            _forget_output()
            sys.exit(128 + signal.SIGPIPE)

    def filter(self, record: logging.LogRecord) -> bool:
        is_uncaught = record.msg == "Uncaught exception" and record.exc_info
        return not (is_uncaught and self.tell(record.exc_info[1]))

    def tell(self, error: BaseException) -> bool:
        """Prints the explanation, if there is one, and returns whether there is."""
        if _is_debugged():
            return False
        try:
            explanation = self._command.explain(error)
        except (Exception, SystemExit):  # the error itself says more than one about explaining it
            return False
        if explanation is None:
            return False
        self._clean_up(error, explanation)
        print(f"error: {explanation}", file=sys.stderr)
        return True

    def _clean_up(self, error: BaseException, explanation: str) -> None:
        # Of other trainers it is not known whether they had begun.
        config = self._command.config or {}
        is_known = "trainer" not in config or is_ours(config["trainer"])
        if self._remains is not None and is_known and self._remains.remove(error):
            return
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.FileHandler):  # out.log, where a training has one
                exc_info = (type(error), error, error.__traceback__)
                handler.handle(logging.LogRecord(__name__, logging.CRITICAL, __file__, 0, explanation, (), exc_info))


def _is_debugged() -> bool:
    return bool(os.environ.get("ALLENNLP_DEBUG"))


def _is_read() -> bool:
    """Whether the standard output is no pipe, or one that somebody reads."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _forget_output() -> None:
    """Nobody reads the standard output any more: what is left of it is not tried again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
