"""
The SDP 2015 format of bilexical semantic dependencies, read and written.

A token is a row `id form lemma pos top pred frame` of tab-separated cells, followed by one column for each predicate
(each row with `+` under `pred`), in order, that holds the label of the token as an argument, or `_`. The augmented
variant has two further columns, `head deprel` of a syntactic tree, after `pos`. SDP 2014 has no column `frame`. See
[the format](http://alt.qcri.org/semeval2015/task18/index.php?id=data-and-tools).

The id of a sentence is in the comment `# sent_id = id`, as in CoNLL-U, or else in the first of one word, `#id`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike

from spigot_allennlp.data.blocks import Block, format_block, read_blocks, read_file
from spigot_allennlp.data.conll import ConllSentence
from spigot_allennlp.data.trees import find_tree_fault

HEADER = "#SDP 2015"
"""The comment that the first sentence of a file begins with."""

_EMPTY = "_"
_SENT_ID = re.compile(r"#\s*sent_id\s*=\s*(.*\S)")
_ID = re.compile(r"#([^\s=]+)\s*$")


@dataclass
class SdpSentence:
    """
    A sentence and its graph. Positions are 1-based.

    # Parameters

    forms : `list[str]`
    lemmas : `list[str]`
    tags : `list[str]`
    arcs : `list[tuple[int, int, str]]`, optional (default = `[]`)
        (predicate, argument, label) of each arc.
    tops : `list[int]`, optional (default = `[]`)
    predicates : `list[int]`, optional (default = `[]`)
        The tokens marked as predicates. Those that have arguments are written as such even if they are not listed.
    frames : `list[str]`, optional (default = `None`)
        One for each token, `_` for none. `None` means all are `_`.
    heads : `list[int]`, optional (default = `None`)
        The syntactic head of each token, 0 for ROOT, which makes this the augmented variant.
    deprels : `list[str]`, optional (default = `None`)
        The label of each syntactic arc.
    upos : `list[str]`, optional (default = `None`)
        The universal parts of speech, of a companion file; the format has no column for them.
    sentence_id : `str`, optional (default = `None`)
    comments : `list[str]`, optional (default = `[]`)
        The lines above the rows: the header, and comments. The one of the id may be left out.
    line : `int`, optional (default = `None`)
        Where the file has it, counted from 1. Two sentences are equal even if their lines differ.
    companion : `ConllSentence`, optional (default = `None`)
        The sentence of another file that `heads` and `deprels` come from.
    """

    forms: list[str]
    lemmas: list[str]
    tags: list[str]
    arcs: list[tuple[int, int, str]] = field(default_factory=list)
    tops: list[int] = field(default_factory=list)
    predicates: list[int] = field(default_factory=list)
    frames: list[str] | None = None
    heads: list[int] | None = None
    deprels: list[str] | None = None
    upos: list[str] | None = None
    sentence_id: str | None = None
    comments: list[str] = field(default_factory=list)
    line: int | None = field(default=None, compare=False)
    companion: ConllSentence | None = field(default=None, compare=False)


def read_sdp(path: str | PathLike[str], name: str | None = None) -> Iterator[SdpSentence]:
    """
    The sentences of a file, one at a time.

    # Parameters

    path : `str` or `PathLike`
    name : `str`, optional (default = `path`)
        What messages call the file.

    # Raises

    `FormatError` at the first line that is not SDP 2015, plain or augmented.
    """
    return parse_sdp(read_file(path), name or str(path))


def parse_sdp(
    lines: Iterable[str] | Iterable[bytes], name: str = "<lines>", unique_ids: bool = True, has_frames: bool = True
) -> Iterator[SdpSentence]:
    """
    Like [`read_sdp`](#read_sdp), from lines at hand. Ids may be allowed to occur twice, and the column `frame` may be
    missing, as in SDP 2014.
    """
    return (_parse_block(block, has_frames) for block in read_blocks(lines, name, _find_id, unique_ids))


def format_sdp(sentence: SdpSentence) -> str:
    """
    The lines of a sentence, with the empty one that ends it; joined, those of all sentences are the file.

    # Raises

    `ValueError` for what would not be read back: arcs that are no graph over the tokens, columns of different lengths,
    or cells such as a form with a tab inside.
    """
    predicates = sorted({*sentence.predicates, *(predicate for predicate, _, _ in sentence.arcs)})
    labels = _format_arcs(sentence, predicates)
    trees: Iterable[tuple[str, ...]] = [()] * len(sentence.forms)
    if sentence.heads is not None:
        trees = zip(map(str, sentence.heads), sentence.deprels or (), strict=True)
    frames = [_EMPTY] * len(sentence.forms) if sentence.frames is None else sentence.frames
    columns = zip(sentence.forms, sentence.lemmas, sentence.tags, trees, frames, labels, strict=True)
    rows = (
        [str(position), form, lemma, tag, *tree, *_format_flags(position, sentence.tops, predicates), frame, *row]
        for position, (form, lemma, tag, tree, frame, row) in enumerate(columns, start=1)
    )
    return format_block(_format_comments(sentence), rows)


def _format_comments(sentence: SdpSentence) -> list[str]:
    sentence_id = sentence.sentence_id
    if sentence_id is None or _find_id(sentence.comments) == sentence_id:
        return sentence.comments
    short = f"#{sentence_id}"
    comments = [comment for comment in sentence.comments if not _SENT_ID.match(comment)]
    comments.insert(
        comments[:1] == [HEADER], short if _find_id([short]) == sentence_id else f"# sent_id = {sentence_id}"
    )
    return comments


def _format_arcs(sentence: SdpSentence, predicates: Sequence[int]) -> list[list[str]]:
    """For each token, its cell in the column of each predicate."""
    size = len(sentence.forms)
    for position in [*predicates, *sentence.tops, *(argument for _, argument, _ in sentence.arcs)]:
        if not 1 <= position <= size:
            raise ValueError(
                f"Expected positions from 1 to {size}, found {position} (sentence {sentence.sentence_id!r})"
            )
    labels = [[_EMPTY] * len(predicates) for _ in range(size)]
    for predicate, argument, label in sentence.arcs:
        row, column = labels[argument - 1], predicates.index(predicate)
        if predicate == argument or label == _EMPTY or row[column] != _EMPTY:
            raise ValueError(
                f"Expected at most one arc between two tokens, with a label other than {_EMPTY}, "
                f"found {(predicate, argument, label)} (sentence {sentence.sentence_id!r})"
            )
        row[column] = label
    return labels


def _format_flags(position: int, *marked: Sequence[int]) -> list[str]:
    return ["+" if position in positions else "-" for positions in marked]


def _find_id(comments: Sequence[str]) -> str | None:
    found = filter(None, [*map(_SENT_ID.match, comments), *map(_ID.match, comments)])
    return next((match[1] for match in found), None)


def _parse_block(block: Block, has_frames: bool) -> SdpSentence:
    # The fifth column is a flag in plain SDP; in the augmented variant it is the head, and the seventh is a flag.
    fifth, seventh = (block.rows[0][index : index + 1] for index in (4, 6))
    augmented = bool(fifth) and (fifth[0].lstrip("-").isdecimal() or (fifth == ["_"] and seventh in (["+"], ["-"])))
    top_column = 6 if augmented else 4
    if not has_frames:
        block.rows = [[*row[: top_column + 2], _EMPTY, *row[top_column + 2 :]] for row in block.rows]
    _check_fixed_columns(block, top_column)
    predicates = _parse_flags(block, top_column + 1)
    arcs = _parse_arcs(block, top_column + 3, predicates)
    heads = _parse_heads(block) if augmented else None
    sentence = SdpSentence(
        forms=[row[1] for row in block.rows],
        lemmas=[row[2] for row in block.rows],
        tags=[row[3] for row in block.rows],
        arcs=arcs,
        tops=_parse_flags(block, top_column),
        predicates=predicates,
        frames=[row[top_column + 2] for row in block.rows],
        heads=heads,
        deprels=None if heads is None else [row[5] for row in block.rows],
        sentence_id=block.sentence_id,
        comments=[comment for comment in block.comments if comment != f"#{block.sentence_id}"],
        line=block.line,
    )
    if _format_comments(sentence) != block.comments:  # the id has another place, or is written in another way
        sentence.comments = block.comments
    return sentence


def _check_fixed_columns(block: Block, top_column: int) -> None:
    fixed = top_column + 3
    for index, row in enumerate(block.rows):
        if len(row) < fixed:
            fault = f"expected at least {fixed} columns, found {len(row)}"
            raise block.error(fault + _suspect_2014(block, fixed), index)
        if row[0] != str(index + 1):
            raise block.error(f"expected the id {index + 1}, found {row[0]!r}", index)
        for column, meaning in ((top_column, "top"), (top_column + 1, "predicate")):
            if row[column] not in ("+", "-"):
                raise block.error(f"expected + or - in column {column + 1} ({meaning}), found {row[column]!r}", index)


def _suspect_2014(block: Block, fixed: int) -> str:
    """What to add to a message about the number of columns, where every row has one too few."""
    num_predicates = sum(row[fixed - 2 : fixed - 1] == ["+"] for row in block.rows)
    if any(len(row) != fixed - 1 + num_predicates for row in block.rows):
        return ""
    return "; is this SDP 2014, which has no column frame? `allennlp spigot-convert --from sdp2014` makes it SDP 2015"


def _parse_flags(block: Block, column: int) -> list[int]:
    return [position for position, row in enumerate(block.rows, start=1) if row[column] == "+"]


def _parse_arcs(block: Block, fixed: int, predicates: Sequence[int]) -> list[tuple[int, int, str]]:
    expected = fixed + len(predicates)
    for index, row in enumerate(block.rows):
        if len(row) != expected:
            fault = (
                f"expected {expected} columns, {fixed} and one for each of the {len(predicates)} predicates of the "
                f"sentence, found {len(row)}"
            )
            raise block.error(fault + _suspect_2014(block, fixed), index)
    arcs = [
        (predicate, argument, row[column])
        for column, predicate in enumerate(predicates, start=fixed)
        for argument, row in enumerate(block.rows, start=1)
        if row[column] != _EMPTY
    ]
    for predicate, argument, label in arcs:
        if predicate == argument:
            raise block.error(f"expected no arc from {argument} to itself, found {label!r}", argument - 1)
    return arcs


def _parse_heads(block: Block) -> list[int] | None:
    """`None` where all are `_`: a sentence without a tree."""
    if all(row[4] == _EMPTY for row in block.rows):
        return None
    for index, row in enumerate(block.rows):
        if not row[4].isdecimal() or row[4] != str(int(row[4])):
            raise block.error(f"expected a number in column 5 (head), found {row[4]!r}", index)
    heads = [int(row[4]) for row in block.rows]
    fault = find_tree_fault(heads)
    if fault is not None:
        position, message = fault
        raise block.error(message, position - 1)
    return heads
