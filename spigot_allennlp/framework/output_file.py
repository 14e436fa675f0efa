"""The file that `allennlp predict` writes, which has its name only when it is whole."""

import atexit
import os
import sys
from pathlib import Path

from spigot_allennlp.framework.bad_input.command import running_command


class OutputFile:
    """
    The file of output of an `allennlp predict` that is running. The framework opens it under its name. From the first
    prediction on it is `NAME.partial`, and gets its name back when the program ends without an error; so a prediction
    that fails, or is killed, leaves no file that looks whole. What is no regular file stays as it is.

    # Parameters

    path : `str` or `PathLike`
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(os.path.realpath(path))
        self._partial = self._path.with_name(f"{self._path.name}.partial")
        self._is_partial = False

    def begin(self) -> None:
        """To be called when the file is open and something is to be written to it; only the first call counts."""
        if not self._is_partial and self._path.is_file():
            self._path.replace(self._partial)
            self._is_partial = True

    def end(self, is_whole: bool) -> None:
        """To be called when the file is closed, or nothing more is written to it."""
        if is_whole and self._is_partial:
            self._partial.replace(self._path)
        elif not is_whole and not self._is_partial and self._path.is_file() and not self._path.stat().st_size:
            self._path.unlink()  # the framework has opened it, and that is all


def output_file() -> OutputFile | None:
    """That of the command that is running, which ends with it. `None`, if it has none or is no `allennlp predict`."""
    command = running_command()
    if command is None or command.name != "predict" or not command.options.get("output_file"):
        return None
    file = OutputFile(command.options["output_file"])
    # Python keeps what ended the program, if nothing caught it.
    atexit.register(lambda: file.end(is_whole=not hasattr(sys, "last_type")))
    return file
