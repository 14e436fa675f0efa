"""How arcs are told apart: what is predicted, gold or both, and which relation they are."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from zlib import crc32

Meanings = tuple[str, str, str]
DIFFERENCES: Meanings = ("predicted and gold", "only predicted", "only gold")
CHANGES: Meanings = ("as before", "new", "gone")


class Kind(NamedTuple):
    """How what is predicted, gold or both is told apart, by more than its colour."""

    name: str
    prefix: str
    color: str
    dashes: str


# Colours that the colour-blind can tell apart, with a contrast of at least 3.7 on white and on black.
BOTH = Kind("both", "", "currentColor", "none")
SPURIOUS = Kind("spurious", "+", "#D55E00", "2 3")
MISSED = Kind("missed", "\N{MINUS SIGN}", "#2F80ED", "9 4")
KINDS = (BOTH, SPURIOUS, MISSED)
POSSIBLE = Kind("possible", "", "#808080", "1 4")
"""What was not chosen, but might have been."""

# With a contrast of at least 3 on white and on black.
_COLORS = ("#2B7BD9", "#C8571B", "#12856B", "#B0479B", "#8A6D00", "#7B5FD3", "#C93A55", "#14809F")


def kinds(predicted: Iterable, gold: Iterable | None) -> dict[Any, Kind]:
    """The kind of everything that is predicted or gold."""
    predicted = list(predicted)
    known = set(predicted) if gold is None else set(gold := list(gold))
    found = {item: BOTH if item in known else SPURIOUS for item in predicted}
    return found | {item: MISSED for item in gold or () if item not in found}


def color_of(label: str) -> str:
    """The colour of a relation, the same one in all pictures; without a label, that of the text."""
    return _COLORS[crc32(label.encode("utf-8", "replace")) % len(_COLORS)] if label else BOTH.color


def check_positions(positions: Iterable[int], num_tokens: int) -> None:
    """Raises a `ValueError` for positions out of the sentence."""
    for position in positions:
        if not 1 <= position <= num_tokens:
            raise ValueError(f"Expected positions from 1 to {num_tokens}, found {position}")


def check_lengths(columns: Sequence[Sequence | None]) -> None:
    """Raises a `ValueError` for lists of different lengths."""
    sizes = {len(column) for column in columns if column is not None}
    if len(sizes) > 1:
        raise ValueError(f"Expected lists of one length, found {sorted(sizes)}")
