"""Dependency trees in [CoNLL-U](https://universaldependencies.org/format.html), read and written with `conllu`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike

from conllu import Token, TokenList
from conllu.exceptions import ParseException
from conllu.parser import DEFAULT_FIELDS, parse_id_value, parse_int_value
from conllu.serializer import serialize_field

from spigot_allennlp.data.blocks import Block, format_block, read_blocks, read_file
from spigot_allennlp.data.trees import find_tree_fault

_ID_COMMENT = re.compile(r"#\s*sent_id\s*=\s*(.*\S)")


@dataclass
class ConllSentence:
    """
    A sentence and its tree. Positions are 1-based and count words only: multiword tokens and empty nodes are kept, and
    written, but are no part of the tree.

    # Parameters

    rows : `conllu.TokenList`
        All rows. `id` and `head` are parsed as `conllu` does, the other columns are strings.
    comments : `list[str]`, optional (default = `[]`)
        The lines above the rows.
    line : `int`, optional (default = `None`)
        Where the file has it, counted from 1. Two sentences are equal even if their lines differ.
    """

    rows: TokenList
    comments: list[str] = field(default_factory=list)
    line: int | None = field(default=None, compare=False)

    @classmethod
    def from_tree(
        cls,
        forms: Sequence[str],
        lemmas: Sequence[str],
        tags: Sequence[str],
        heads: Sequence[int],
        deprels: Sequence[str],
        sentence_id: str | None = None,
    ) -> "ConllSentence":
        """A sentence of which no more is known; `tags` become `xpos`."""
        rows = [
            Token(zip(DEFAULT_FIELDS, (position, form, lemma, "_", tag, "_", head, deprel, "_", "_"), strict=True))
            for position, (form, lemma, tag, head, deprel) in enumerate(
                zip(forms, lemmas, tags, heads, deprels, strict=True), start=1
            )
        ]
        return cls(TokenList(rows), name_sentence([], sentence_id))

    @property
    def words(self) -> list[Token]:
        return [row for row in self.rows if isinstance(row["id"], int)]

    @property
    def forms(self) -> list[str]:
        return [word["form"] for word in self.words]

    @property
    def lemmas(self) -> list[str]:
        return [word["lemma"] for word in self.words]

    @property
    def upos(self) -> list[str]:
        return [word["upos"] for word in self.words]

    @property
    def xpos(self) -> list[str]:
        return [word["xpos"] for word in self.words]

    @property
    def heads(self) -> list[int | None] | None:
        """
        The head of each word, 0 for ROOT, `None` where it is `_`; and `None` for a sentence without a tree, in which
        all are.
        """
        heads = [word["head"] for word in self.words]
        return heads if any(head is not None for head in heads) else None

    @property
    def deprels(self) -> list[str] | None:
        """The label of the arc to each word from its head; `None` for a sentence without a tree."""
        return None if self.heads is None else [word["deprel"] for word in self.words]

    @property
    def sentence_id(self) -> str | None:
        return find_id(self.comments)


def read_conll(
    path: str | PathLike[str], name: str | None = None, partial_trees: bool = False
) -> Iterator[ConllSentence]:
    """
    The sentences of a file, one at a time.

    # Parameters

    path : `str` or `PathLike`
    name : `str`, optional (default = `path`)
        What messages call the file.
    partial_trees : `bool`, optional (default = `False`)
        Whether some words of a sentence may have the head `_` and others not.

    # Raises

    `FormatError` at the first line that is not CoNLL-U, or whose heads are no tree. A sentence whose heads are all `_`
    is one without a tree.
    """
    return parse_conll(read_file(path), name or str(path), partial_trees)


def parse_conll(
    lines: Iterable[str] | Iterable[bytes],
    name: str = "<lines>",
    partial_trees: bool = False,
    unique_ids: bool = True,
) -> Iterator[ConllSentence]:
    """Like [`read_conll`](#read_conll), from lines at hand. Ids may be allowed to occur twice."""
    return (_parse_block(block, partial_trees) for block in read_blocks(lines, name, find_id, unique_ids))


def format_conll(sentence: ConllSentence) -> str:
    """
    The lines of a sentence, with the empty one that ends it; joined, those of all sentences are the file.

    # Raises

    `ValueError` for what would not be read back, such as a form with a tab inside.
    """
    return format_block(sentence.comments, map(format_row, sentence.rows))


def format_row(row: Token) -> list[str]:
    """The cells of a row."""
    return [cell if isinstance(cell, str) else serialize_field(cell) for cell in row.values()]


def find_id(comments: Sequence[str]) -> str | None:
    """The id of a sentence, from the lines above its rows."""
    return next((found[1] for found in map(_ID_COMMENT.match, comments) if found), None)


def name_sentence(comments: list[str], sentence_id: str | None) -> list[str]:
    """The comments of a sentence with this id: below that of the id, unless they have it themselves."""
    if sentence_id is None or find_id(comments) == sentence_id:
        return comments
    return [f"# sent_id = {sentence_id}", *(comment for comment in comments if find_id([comment]) is None)]


def _parse_block(block: Block, partial_trees: bool = False) -> ConllSentence:
    rows = TokenList([_parse_row(block, index) for index in range(len(block.rows))])
    _check_ids(block, rows)
    sentence = ConllSentence(rows, block.comments, block.line)
    row_of_word = [index for index, row in enumerate(rows) if isinstance(row["id"], int)]
    heads = [word["head"] for word in sentence.words]
    if not partial_trees and sentence.heads is not None and None in heads:
        message = "expected a head, as other words have one, found _; the reader's `partial_trees: true` allows that"
        raise block.error(message, row_of_word[heads.index(None)])
    fault = find_tree_fault(heads)
    if fault is not None:
        position, message = fault
        raise block.error(message, row_of_word[position - 1])
    return sentence


def _parse_row(block: Block, index: int) -> Token:
    cells = block.rows[index]
    if len(cells) != len(DEFAULT_FIELDS):
        raise block.error(f"expected {len(DEFAULT_FIELDS)} columns, found {len(cells)}", index)
    row = Token(zip(DEFAULT_FIELDS, cells, strict=True))
    try:
        row["id"] = parse_id_value(cells[0])
        row["head"] = parse_int_value(cells[6])
    except ParseException as error:
        raise block.error(f"expected an id and a head: {error}", index) from None
    return row


def _check_ids(block: Block, rows: TokenList) -> None:
    """Words are numbered from 1; a range `m-n` stands before the word `m`, an empty node `m.k` after the word `m`."""
    size = max((row["id"] for row in rows if isinstance(row["id"], int)), default=0)
    last = 0
    for index, row in enumerate(rows):
        match row["id"]:
            case (first, "-", end):
                fits = first == last + 1 and end <= size
            case (before, ".", _):
                fits = before == last
            case word:
                last += 1
                fits = word == last
        if not fits:
            raise block.error(f"expected ids that count the words from 1, found {block.rows[index][0]!r}", index)
    if size == 0:
        raise block.error("expected at least one word, found none", 0)
