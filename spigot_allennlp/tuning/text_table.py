"""Tables as text."""

from collections.abc import Sequence


def align(rows: Sequence[Sequence[str]]) -> str:
    """The rows below each other, with the cells of a column as wide as the widest."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
