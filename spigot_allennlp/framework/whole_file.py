"""Files that have their name only when they are whole."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from allennlp.common.checks import ConfigurationError

STANDARD = "-"
"""What stands for the standard input, or the standard output."""


@contextmanager
def open_whole(name: str) -> Iterator[BinaryIO]:
    """
    The standard output, or a file to write that has its name only when it is whole; a device or a pipe as it is.

    # Raises

    `ConfigurationError`, if it is in no folder, or is one.
    """
    if name == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(os.path.realpath(name))
    if not path.parent.is_dir() or path.is_dir():
        raise ConfigurationError(f"expected a file to write in an existing folder, found {name}")
    if path.exists() and not path.is_file():
        with open(path, "wb") as file:
            yield file
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "xb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """A file with this content, which has its name only when it is whole; text is written in UTF-8."""
    with open_whole(str(path)) as file:
        file.write(content.encode() if isinstance(content, str) else content)
