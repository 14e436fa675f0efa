"""Files that commands write."""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Optional

from spigot_allennlp.framework.bad_input.settings import strings

_READ = ("input_file", "archive_file")
_WRITTEN = ("output_file", "predictions_output_file")


def overwritten(options: Mapping[str, Any]) -> Optional[str]:
    """A file that the options of a command name both to be read and to be written, under whatever names."""
    for written in _paths(options, _WRITTEN):
        for read in _paths(options, _READ):
            with suppress(OSError, ValueError):  # there is no such file
                if os.path.samefile(written, read):
                    return written
    return None


def fault_of_disk(error: BaseException, options: Mapping[str, Any]) -> Optional[str]:
    """What is said of a disk that is full, whoever writes to it."""
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if not is_full and "PytorchStreamWriter failed writing" not in str(error):  # as PyTorch says it of checkpoints
        return None
    names = [getattr(error, "filename", None), *map(options.get, (*_WRITTEN, "output", "serialization_dir"))]
    place = next(filter(None, names), "the standard output")
    return f"{place}: {error.strerror if is_full else error}"


def _paths(options: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for value in filter(None, map(options.get, names)):
        yield value
        yield from value.split(",")  # of `allennlp evaluate`
        with suppress(json.JSONDecodeError):
            yield from strings(json.loads(f"[{value}]"))
