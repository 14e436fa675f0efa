"""A line of a file of JSON objects, one a line, and what is said of it."""

import json
from reprlib import repr as shortened
from typing import Any


def parse_json(line: str | bytes) -> Any:
    """
    What a line holds; the byte order mark of some editors is left out.

    # Raises

    `ValueError` that says what was expected, for text that is not UTF-8 and not JSON, too long a number and too deep a
    nesting among it.
    """
    try:
        text = line.decode("utf-8-sig") if isinstance(line, bytes) else line.removeprefix("\ufeff")
        return json.loads(text.strip())
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8, found the byte 0x{error.object[error.start]:02x}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"expected a JSON object: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected a JSON object: {error}") from None


def shortened_json(value: Any) -> str:
    """A value as JSON for a message, of 60 characters at most."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # It comes from Python.
        text = shortened(value)
    # A lone half of a surrogate pair is written as it was given, as an escape.
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= 60 else f"{text[:40]} … {text[-17:]}"
