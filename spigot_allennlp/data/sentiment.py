"""Sentences with a sentiment label, in formats that [`read_sentiment`](#read_sentiment) tells apart."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from os import PathLike

from nltk import Tree

from spigot_allennlp.data.blocks import Block, read_blocks, read_file
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.labelled_lines import parse_object, parse_pair
from spigot_allennlp.data.ptb_escapes import unescape
from spigot_allennlp.data.sentiment_table import ColumnOrder

TREE_LABELS = ("0", "1", "2", "3", "4")
"""The labels of the Stanford Sentiment Treebank, from very negative to very positive."""

_ID_COMMENT = re.compile(r"#\s*instance\s+(\S+)")
_COLUMNS = ("id", "form", "lemma", "pos", "label")


@dataclass
class SentimentSentence:
    """
    A sentence and its label. What its format does not say is `None`: a sentence of the token format has all but `text`,
    one of a tree has `tokens`, a tab-separated one `text`.

    # Parameters

    label : `str`
    text : `str`, optional (default = `None`)
    tokens, tags, lemmas : `list[str]`, optional (default = `None`)
    is_tree : `bool`, optional (default = `False`)
        Whether it is from a sentiment treebank, so that the label is one of `TREE_LABELS`.
    sentence_id : `str`, optional (default = `None`)
        What stands behind `# instance` in the token format.
    heads : `list[int]`, optional (default = `None`)
        A gold tree, in 1-based positions, 0 for ROOT.
    hypothesis : `str` or `list[str]`, optional (default = `None`)
        The second sentence of a pair, raw or as tokens.
    latent_class : `str`, optional (default = `None`)
        What is known and told no model.
    line : `int`, optional (default = `None`)
        Where the file has it, counted from 1. Two sentences are equal even if their lines differ.
    """

    label: str
    text: str | None = None
    tokens: list[str] | None = None
    tags: list[str] | None = None
    lemmas: list[str] | None = None
    is_tree: bool = False
    sentence_id: str | None = None
    heads: list[int] | None = None
    hypothesis: str | list[str] | None = None
    latent_class: str | None = None
    line: int | None = field(default=None, compare=False)


def read_sentiment(path: str | PathLike[str], name: str | None = None) -> Iterator[SentimentSentence]:
    """
    The sentences of a file, one at a time. The first line that is not empty decides on the format:

    - it begins with `{`: one JSON object a line, see [`parse_object`](./labelled_lines.md#parse_object).
    - it has two tabs: one pair of sentences a line, `label<TAB>premise<TAB>hypothesis`.
    - it has a tab: one sentence a line, `label<TAB>sentence` or `sentence<TAB>label`. Which of the two, all lines
      together tell, or the names of the columns in the first: see [`ColumnOrder`](./sentiment_table.md#columnorder).
    - it begins with `#`, as in `# instance 1`: one token a row, `id form lemma pos label`, separated by tabs, with an
      empty line after each sentence. Every row of a sentence has its label.
    - it begins with `(`: one bracketed tree a line, `(3 (2 It) (3 works))`, as in the Stanford Sentiment Treebank.
      The label is that of the whole sentence; `-LRB-` and the like [become brackets](./ptb_escapes.md).

    # Parameters

    path : `str` or `PathLike`
    name : `str`, optional (default = `path`)
        What messages call the file.

    # Raises

    `FormatError` for anything else, naming the line and what was expected.
    """
    name = str(path) if name is None else name
    lines = read_file(path)
    start: list[bytes] = []
    for line in lines:
        start.append(line)
        text = _decode(line, name, len(start))
        if text.strip():
            break
    else:
        raise FormatError("expected at least one sentence, found an empty file", name, line=1)
    lines = chain(start, lines)
    if text.startswith("{"):
        return _read_lines(lines, name, lambda line: SentimentSentence(**parse_object(line)))
    if text.count("\t") == 2:
        return _read_pairs(path, name)
    if "\t" in text:
        return _read_table(path, name)
    if text.startswith("#"):
        return _read_token_rows(lines, name)
    if text.startswith("("):
        return _read_lines(lines, name, _parse_tree)
    message = (
        "expected '# instance' and rows of tokens, a bracketed tree, a label, a tab and a sentence, or a JSON object"
    )
    raise FormatError(f"{message}; found {text[:40]!r}", name, len(start))


def _decode(line: bytes, name: str, number: int) -> str:
    return Block(name, number, lambda comments: None).decode(line)


def _read_token_rows(lines: Iterable[bytes], name: str) -> Iterator[SentimentSentence]:
    for block in read_blocks(lines, name, _find_id):
        for position, row in enumerate(block.rows):
            if len(row) != len(_COLUMNS):
                message = f"expected {len(_COLUMNS)} columns, {' '.join(_COLUMNS)}, found {len(row)}"
                raise block.error(message, position)
            if row[0] != str(position + 1):
                raise block.error(f"expected the id {position + 1}, found {row[0]!r}", position)
            if row[4] != block.rows[0][4]:
                message = f"expected the label {block.rows[0][4]!r} of the sentence's first token, found {row[4]!r}"
                raise block.error(message, position)
        _, tokens, lemmas, tags, labels = (list(column) for column in zip(*block.rows, strict=True))
        yield SentimentSentence(
            labels[0], tokens=tokens, tags=tags, lemmas=lemmas, sentence_id=block.sentence_id, line=block.line
        )


def _find_id(comments: Sequence[str]) -> str | None:
    return next((match[1] for match in map(_ID_COMMENT.match, comments) if match), None)


def _read_lines(
    lines: Iterable[bytes], name: str, parse: Callable[[str], SentimentSentence | None]
) -> Iterator[SentimentSentence]:
    for number, line in enumerate(lines, start=1):
        text = _decode(line, name, number)
        if not text.strip():
            continue
        try:
            sentence = parse(text)
        except ValueError as error:
            raise FormatError(str(error), name, number) from None
        if sentence is not None:
            sentence.line = number
            yield sentence


def _parse_tree(line: str) -> SentimentSentence:
    try:
        tree = Tree.fromstring(line)
    except ValueError as error:
        raise ValueError(f"expected one bracketed tree, {' '.join(str(error).split())}") from None
    for subtree in tree.subtrees():
        if subtree.label() not in TREE_LABELS:
            raise ValueError(f"expected a label from 0 to 4 after every opening bracket, found {subtree.label()!r}")
        if not len(subtree):
            raise ValueError("expected words or brackets after every label, found none")
    return SentimentSentence(tree.label(), tokens=list(map(unescape, tree.leaves())), is_tree=True)


def _read_pairs(path: str | PathLike[str], name: str) -> Iterator[SentimentSentence]:
    rows = (line.decode(errors="replace").strip().split("\t") for line in read_file(path))
    first, last = ({hash(cell) for cell in column} for column in zip(*((row[0], row[-1]) for row in rows), strict=True))
    if len(first) > len(last):
        message = (
            "expected a label, a premise and a hypothesis, found more different values in the first column than in"
        )
        raise FormatError(f"{message} the last", name)

    def parse(line: str) -> SentimentSentence | None:
        known = parse_pair(line)
        return None if known is None else SentimentSentence(**known)

    return _read_lines(read_file(path), name, parse)


def _read_table(path: str | PathLike[str], name: str) -> Iterator[SentimentSentence]:
    order = ColumnOrder((line.decode(errors="replace") for line in read_file(path)), name)

    def parse(line: str) -> SentimentSentence | None:
        cells = order.read(line)
        return None if cells is None else SentimentSentence(cells[0], text=cells[1])

    return _read_lines(read_file(path), name, parse)
