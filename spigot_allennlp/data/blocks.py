"""What SDP and CoNLL-U share: sentences as blocks of tab-separated rows under `#` comments, apart by empty lines."""

from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from os import PathLike

from spigot_allennlp.data.format_error import FormatError


@dataclass
class Block:
    """
    The lines of one sentence: first its comments, then one row per token.

    # Parameters

    name : `str`
        The file, for messages.
    line : `int`
        The line of the file that the block begins with, counted from 1.
    find_id : `Callable[[Sequence[str]], str | None]`
        Finds the sentence id among the comments.
    comments : `list[str]`
    rows : `list[list[str]]`
        The cells of each row.
    num_empty : `int`
        How many empty lines stand between the comments and the rows.
    """

    name: str
    line: int
    find_id: Callable[[Sequence[str]], str | None]
    comments: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    num_empty: int = 0

    @property
    def sentence_id(self) -> str | None:
        return self.find_id(self.comments)

    def decode(self, line: str | bytes) -> str:
        """The next line as text, without its end."""
        if isinstance(line, bytes):
            try:
                line = line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                raise self.error(f"expected UTF-8, found the byte 0x{byte:02x}", len(self.rows)) from None
        return line.rstrip("\r\n")

    def add(self, line: str) -> None:
        """Takes in the next line."""
        row = len(self.rows)
        if not line.startswith("#"):
            cells = line.split("\t")
            if "" in cells:
                raise self.error(f"expected a value in column {cells.index('') + 1}, found nothing", row)
            self.rows.append(cells)
        elif self.rows:
            raise self.error("expected an empty line between a sentence and the comments of the next", row)
        else:
            self.comments.append(line)

    def error(self, message: str, row: int | None = None) -> FormatError:
        """The error to raise about a row, counted from 0, or about the whole block."""
        line = self.line if row is None else self.line + len(self.comments) + self.num_empty + row
        return FormatError(message, self.name, line, self.sentence_id)


def read_blocks(
    lines: Iterable[str] | Iterable[bytes],
    name: str,
    find_id: Callable[[Sequence[str]], str | None],
    unique_ids: bool = True,
) -> Iterator[Block]:
    """
    The blocks of a file, one at a time; of those before, only the ids are remembered. Comments with an empty line below
    them, such as `# newdoc`, belong to the next sentence, unless they name one themselves.

    # Parameters

    lines : `Iterable[str]` or `Iterable[bytes]`
        Such as an open (binary) file.
    name : `str`
        The file, for messages.
    find_id : `Callable[[Sequence[str]], str | None]`
        Finds the sentence id among the comments of a block.
    unique_ids : `bool`, optional (default = `True`)
        Whether an id that has been used before is refused. If not, nothing is remembered.

    # Raises

    `FormatError` for text that is not UTF-8, an empty cell, a comment amid rows, comments without rows, a sentence id
    that has been used before, and a file without any sentence.
    """
    first_lines: dict[str, int] = {}
    block = Block(name, 1, find_id)
    empty = True
    for number, line in enumerate(chain(lines, [""]), start=1):
        text = block.decode(line)
        if text.strip(" "):
            block.add(text)
            continue
        if block.rows:
            if unique_ids and block.sentence_id is not None:
                first_line = first_lines.setdefault(block.sentence_id, block.line)
                if first_line != block.line:
                    raise block.error(f"expected a new sentence id, found the one of line {first_line}")
            yield block
            empty = False
        elif block.sentence_id is not None:
            break
        elif block.comments:
            block.num_empty += 1
            continue
        block = Block(name, number + 1, find_id)
    if block.comments:
        raise block.error("expected the rows of a sentence after its comments, found none")
    if empty:
        raise FormatError("expected at least one sentence, found an empty file", name, line=1)


def read_file(path: str | PathLike[str]) -> Iterator[bytes]:
    """
    The raw lines of a file, which is closed after the last. The byte order mark that some editors begin a file with is
    left out, and where files were joined, that of each.
    """
    with open(path, "rb") as file:
        for line in file:
            yield line.removeprefix(BOM_UTF8)


def format_block(comments: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """
    The lines of a sentence, with the empty one that ends it.

    # Raises

    `ValueError` for what would not be read back: a comment without `#` or with a line end inside, a cell that is empty
    or has a tab or a line end inside, no rows at all.
    """
    lines = list(comments)
    for comment in lines:
        if not comment.startswith("#") or not {"\n", "\r"}.isdisjoint(comment):
            raise ValueError(f"Expected a comment that begins with # and has no line end, found {comment!r}")
    first_row = len(lines)
    for row in rows:
        cells = list(row)
        lines.append("\t".join(cells))
        if lines[-1].count("\t") >= len(cells) or "" in cells or "\n" in lines[-1] or "\r" in lines[-1]:
            cell = next(cell for cell in cells if not cell or not {"\t", "\n", "\r"}.isdisjoint(cell))
            raise ValueError(f"Expected a cell that is not empty and has no tab or line end, found {cell!r}")
    if len(lines) == first_row:
        raise ValueError("Expected at least one row, found none")
    return "\n".join(lines) + "\n\n"
