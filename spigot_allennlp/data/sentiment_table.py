"""Tab-separated sentences and labels: which of the two columns has the labels."""

from collections import Counter
from collections.abc import Iterable

from spigot_allennlp.data.format_error import FormatError

_ORDERS = ("a label, a tab and a sentence", "a sentence, a tab and a label")


class ColumnOrder:
    """
    Which column of a file has the labels. The names of the two columns in the first row decide. Otherwise labels are
    the side with fewer different values and with fewer words, over all lines; where both sides have as many of both,
    numbers are labels. Lines that have not two cells do not count.

    # Parameters

    lines : `Iterable[str]`
        All lines of the file.
    name : `str`
        The file, for messages.

    # Raises

    `FormatError`, if the two signs contradict each other, or there is none.
    """

    def __init__(self, lines: Iterable[str], name: str) -> None:
        # By hash, which is far smaller than a sentence.
        values: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        num_words, are_numbers = [0, 0], [True, True]
        header = None
        for cells in filter(None, map(_split, lines)):
            if _is_header(cells):
                if not values[0]:
                    header = int(cells[1].lower() == "label")
                continue
            for column, cell in enumerate(cells):
                values[column][hash(cell)] += 1
                num_words[column] += len(cell.split())
                are_numbers[column] &= cell.lstrip("+-").isdecimal()
        self._may_be_header = header is not None
        self._column = header
        if header is None:
            signs = {_smaller(*map(len, values)), _smaller(*num_words)} - {None}
            signs = signs or {_smaller(not are_numbers[0], not are_numbers[1])} - {None}
            if values[0] and len(signs) != 1:
                found = "fewer values on one side and shorter ones on the other" if signs else "sides that look alike"
                raise FormatError(
                    f"expected {_ORDERS[0]}, or {_ORDERS[1]}, where labels are few and short, found {found}; a first "
                    "line with the names of the columns, label and sentence, tells the order",
                    name,
                )
            self._column = signs.pop() if signs else 0
        self._repeated = {value for value, count in values[self._column].items() if count > 1}

    def read(self, line: str) -> tuple[str, str] | None:
        """
        The label and the sentence of a line, or `None` for the names of the columns; to be called for all lines, in
        their order. Raises a `ValueError` for anything else, and for a line in the other order.
        """
        expected = _ORDERS[self._column]
        cells = _split(line)
        if cells is None:
            raise ValueError(f"expected {expected}")
        if _is_header(cells):
            if not self._may_be_header:
                raise ValueError(f"expected {expected}, found the names of columns")
            self._may_be_header = False
            return None
        label, sentence = cells[self._column], cells[1 - self._column]
        if hash(sentence) in self._repeated and hash(label) not in self._repeated:
            raise ValueError(f"expected {expected}, as on other lines, found {_ORDERS[1 - self._column]}")
        return label, sentence


def _split(line: str) -> tuple[str, str] | None:
    cells = tuple(cell.strip() for cell in line.split("\t"))
    return cells if len(cells) == 2 and all(cells) else None


def _is_header(cells: tuple[str, str]) -> bool:
    return {cell.lower() for cell in cells} == {"label", "sentence"}


def _smaller(left: float, right: float) -> int | None:
    return None if left == right else int(right < left)
