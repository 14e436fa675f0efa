import logging
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from spigot_allennlp.framework.bad_input.command import Command
from spigot_allennlp.framework.bad_input.remains import Remains
from spigot_allennlp.framework.bad_input.settings import is_ours


def report() -> None:
    """While the `allennlp` command runs, uncaught errors are told in one line, where they are explained."""
    if _is_the_command():
        Report(sys.argv[1:]).install()


def _is_the_command() -> bool:
    name = "allennlp.__main__"  # which no plugin imports; `python -m allennlp` calls it `__main__`
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return (name in sys.modules or getattr(spec, "name", None) == name) and multiprocessing.parent_process() is None


class Report(logging.Filter):
    """
    What becomes of an error that nothing catches. A training of the framework sets a hook of its own, which writes to
    the root logger; so this is also a filter of that.

    # Parameters

    arguments : `list[str]`
        Those of the command.
    """

    def __init__(self, arguments: list[str]) -> None:
        super().__init__()
        self._command = Command(arguments)
        self._remains: Optional[Remains] = None
        if self._command.name == "train":
            self._remains = Remains(Path(self._command.options["serialization_dir"]))
        self._excepthook: Callable[..., Any] = sys.__excepthook__

    def install(self) -> None:
        self._excepthook, sys.excepthook = sys.excepthook, self
        logging.getLogger().addFilter(self)

    def __call__(self, kind: type[BaseException], error: BaseException, traceback: Optional[TracebackType]) -> None:
        if not self.tell(error):
            self._excepthook(kind, error, traceback)

    def filter(self, record: logging.LogRecord) -> bool:
        is_uncaught = record.msg == "Uncaught exception" and record.exc_info
        return not (is_uncaught and self.tell(record.exc_info[1]))

    def tell(self, error: BaseException) -> bool:
        """Prints the explanation, if there is one, and returns whether there is."""
        if os.environ.get("ALLENNLP_DEBUG"):
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
