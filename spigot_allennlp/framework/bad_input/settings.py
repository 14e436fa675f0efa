"""Errors that the settings of a config, or the arguments of a command, explain."""

import os
import re
from collections.abc import Iterator
from typing import Any, Optional


def fault_of_setting(error: BaseException, settings: Any) -> Optional[str]:
    """What a constructor says of one of the settings, in other words than a `ConfigurationError`."""
    text = str(error)
    if isinstance(error, TypeError):
        named = re.search(r"unexpected keyword argument '(\w+)'", text) or re.match(r"Expected (\w+)\S* to be ", text)
        return text if named is not None and named[1] in _keys(settings) else None
    if type(error) is not ValueError:
        return None
    if text.startswith("overrides dict contains unused keys"):
        return text
    # Words that are not to be found in any sentence.
    return text if _keys(settings) & set(re.findall(r"[a-z]+(?:_[a-z]+)+", text)) else None


def fault_of_file(error: BaseException, settings: Any) -> Optional[str]:
    """What is wrong with a file that one of the settings names."""
    if not isinstance(error, OSError):
        return None
    missing = re.fullmatch(r"file (.*) not found", str(error))  # as the framework says it
    path = missing[1] if missing is not None else error.filename
    for value in filter(None, strings(settings)):
        if value in str(error) if "://" in value else path is not None and _is_in(path, value):
            return str(error)
    return None


def is_ours(settings: Any) -> bool:
    """Whether they are of a type of this package."""
    return isinstance(settings, dict) and str(settings.get("type")).startswith("spigot")


def names_ours(settings: Any) -> bool:
    """Whether they are, or any that are inside."""
    parts = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else ()
    return is_ours(settings) or any(map(names_ours, parts))


def strings(settings: Any) -> Iterator[str]:
    """All values that are text."""
    if isinstance(settings, str):
        yield settings
    elif isinstance(settings, (dict, list)):
        for value in settings.values() if isinstance(settings, dict) else settings:
            yield from strings(value)


def _keys(settings: Any) -> set[str]:
    if isinstance(settings, list):
        return set().union(*map(_keys, settings))
    if not isinstance(settings, dict):
        return set()
    # Those of `--overrides` may be paths.
    return {part for key in settings for part in key.split(".")}.union(*map(_keys, settings.values()))


def _is_in(path: Any, folder: str) -> bool:
    """Whether it is that file or folder, or in that folder."""
    return f"{os.path.realpath(path)}{os.sep}".startswith(f"{os.path.realpath(folder)}{os.sep}")
