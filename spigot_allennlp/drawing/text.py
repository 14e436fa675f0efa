"""How wide text is, and in which direction it runs, for pictures that are laid out where no font is at hand."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Of a character, in parts of the font's size: those of the widest of the common sans-serif fonts.
_NARROW = dict.fromkeys("fijlrtI|.,:;'`!()[]{}/\\ ", 0.42)
_WIDE = dict.fromkeys("mwMW@%\N{EM DASH}\N{HORIZONTAL ELLIPSIS}", 1.0)
_WIDTHS = _NARROW | _WIDE
_UPPER, _OTHER, _FULL = 0.76, 0.64, 1.05


def text_width(text: str, size: float) -> float:
    """How wide a text is at most, in a sans-serif font of a size; both in pixels."""
    return size * sum(map(_width, text))


def is_right_to_left(words: Iterable[str]) -> bool:
    """Whether most letters of a sentence are of a script that runs from right to left."""
    classes = [unicodedata.bidirectional(character) for word in words for character in word]
    return sum(one in ("R", "AL") for one in classes) > classes.count("L")


def clean(text: str) -> str:
    """The text without the characters that XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


@lru_cache(4096)
def _width(character: str) -> float:
    if character in _WIDTHS:
        return _WIDTHS[character]
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return _FULL
    return _UPPER if character.isupper() else _OTHER
