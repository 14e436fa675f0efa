from collections.abc import Collection
from itertools import islice
from os import PathLike
from reprlib import repr as shortened


class FormatError(ValueError):
    """
    A file that is not what its format demands. The message reads
    `<file>, line <line>, sentence '<id>': <what was expected, and what was found>`, as far as these are known. It is
    also the `explanation`, which the command line prints.

    # Parameters

    message : `str`
        What was expected, and what was found instead.
    name : `str` or `PathLike`, optional (default = `None`)
        The file.
    line : `int`, optional (default = `None`)
        The line, counted from 1.
    sentence_id : `str`, optional (default = `None`)
        The sentence, as the file itself names it.
    """

    def __init__(
        self,
        message: str,
        name: str | PathLike[str] | None = None,
        line: int | None = None,
        sentence_id: str | None = None,
    ) -> None:
        place = []
        if name is not None:
            place.append(str(name))
        if line is not None:
            place.append(f"line {line}")
        if sentence_id is not None:
            place.append(f"sentence {sentence_id!r}")
        self.explanation = f"{', '.join(place)}: {message}" if place else message
        super().__init__(self.explanation)


def first_of(values: Collection[str], at_most: int = 5) -> str:
    """Values for a message: the first ones, none of them long, and how many more there are."""
    shown = [shortened(value) for value in islice(values, at_most)]
    more = len(values) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
