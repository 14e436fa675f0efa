"""
Graphs in CoNLL-U: in the column DEPS, as enhanced dependencies are, and in keys of our own in the column MISC.

In DEPS a cell has `head:label` of every arc to the word, and `0:root` for a top. In MISC, `SDPGraph` has the same with
a comma between two of them, or `_` on the first word where a graph has nothing and DEPS is another one; `SDPFrame` has
the frame, and `SDPPredicate=Yes` marks a predicate without arguments.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

Graph = tuple[list[tuple[int, int, str]], list[int]]
"""The arcs (predicate, argument, label), and the tops, in 1-based positions."""

TOP_LABEL = "root"
"""The label of the arc from 0 to a top."""

EMPTY = "_"
_ARC = re.compile(r"(0|[1-9][0-9]*):(.+)")
_OURS = re.compile(r"(SDPGraph)=(_|[0-9]+:[^,]+(?:,[0-9]+:[^,]+)*)|(SDPFrame)=(.+)|(SDPPredicate)=(Yes)")
# What has a meaning of its own in MISC, written in the way of the treebanks' SpacesAfter.
_ESCAPES = {"\\": r"\\", "|": r"\p", ",": r"\c", " ": r"\s"}
_UNESCAPES = {escape: character for character, escape in _ESCAPES.items()}


def parse_deps(cells: Sequence[str]) -> tuple[Graph, bool]:
    """
    The graph in the DEPS cells of all words, and whether it is all that they hold.

    A graph has no arcs from and to empty nodes, none from a word to itself, at most one between two words, and only
    `root` from 0.
    """
    arcs: dict[tuple[int, int], str] = {}
    tops: list[int] = []
    for argument, cell in enumerate(cells, start=1):
        for arc in () if cell == EMPTY else cell.split("|"):
            match = _ARC.fullmatch(arc)
            if match is None:
                continue
            predicate, label = int(match[1]), match[2]
            if predicate == 0 and label == TOP_LABEL:
                tops.append(argument)
            elif 0 < predicate <= len(cells) and predicate != argument and label != EMPTY:
                arcs.setdefault((predicate, argument), label)
    graph = [(predicate, argument, label) for (predicate, argument), label in sorted(arcs.items())], tops
    return graph, format_deps(*graph, len(cells)) == list(cells)


def format_deps(arcs: Iterable[tuple[int, int, str]], tops: Iterable[int], size: int) -> list[str]:
    """
    The DEPS cells of all words.

    # Raises

    `ValueError` for a position that is no word, and a label that DEPS cannot hold.
    """
    columns = _incoming(arcs, tops, size)
    for label in (label for column in columns for _, label in column):
        if "|" in label or not label:
            raise ValueError(f"Expected labels without | for the column DEPS, found {label!r}")
    return ["|".join(f"{head}:{label}" for head, label in column) or EMPTY for column in columns]


def parse_misc(cells: Sequence[str]) -> tuple[dict[str, list], list[str]]:
    """
    What our keys in the MISC cells of all words say, and the cells without them. The first has `arcs`, `tops`, `frames`
    and `predicates`, as far as there are any.
    """
    found: dict[str, list] = {"arcs": [], "tops": [], "frames": [EMPTY] * len(cells), "predicates": []}
    others = []
    has_no_arcs = False
    for position, cell in enumerate(cells, start=1):
        kept = []
        for item in cell.split("|"):
            match = _OURS.fullmatch(item)
            key, value = (None, "") if match is None else filter(None, match.groups())
            if key == "SDPGraph" and value == EMPTY:
                has_no_arcs = True
            elif key == "SDPGraph":
                heads = [arc.split(":", 1) for arc in value.split(",")]
                found["arcs"] += [(int(head), position, _unescape(label)) for head, label in heads if head != "0"]
                found["tops"] += [position for head, _ in heads if head == "0"]
            elif key == "SDPFrame":
                found["frames"][position - 1] = _unescape(value)
            elif key == "SDPPredicate":
                found["predicates"].append(position)
            else:
                kept.append(item)
        others.append("|".join(kept) or EMPTY)
    found["arcs"].sort()
    if set(found["frames"]) == {EMPTY}:
        del found["frames"]
    known = {key: value for key, value in found.items() if value}
    return known | ({"arcs": []} if has_no_arcs and "arcs" not in known else {}), others


def no_graph(cell: str) -> str:
    """The MISC cell of the first word, where it is to say that the graph has neither arcs nor tops."""
    return "SDPGraph=_" if cell == EMPTY else f"{cell}|SDPGraph=_"


def format_misc(
    cells: Sequence[str],
    arcs: Iterable[tuple[int, int, str]] = (),
    tops: Iterable[int] = (),
    frames: Sequence[str] | None = None,
    predicates: Iterable[int] = (),
) -> list[str]:
    """The MISC cells of all words, with our keys behind what they have."""
    marked = set(predicates)
    result = []
    for position, (cell, column) in enumerate(zip(cells, _incoming(arcs, tops, len(cells)), strict=True), start=1):
        items = [] if cell == EMPTY else [cell]
        if column:
            items.append("SDPGraph=" + ",".join(f"{head}:{_escape(label)}" for head, label in column))
        if frames is not None and frames[position - 1] != EMPTY:
            items.append(f"SDPFrame={_escape(frames[position - 1])}")
        if position in marked:
            items.append("SDPPredicate=Yes")
        result.append("|".join(items) or EMPTY)
    return result


def space_after(tokens: Sequence[str], text: str) -> list[str] | None:
    """The MISC cells, `SpaceAfter=No` or `_`, of the tokens of a text; `None`, if it does not consist of them."""
    anchors = find_tokens(tokens, text)
    if anchors is None:
        return None
    ends = [end for _, end in anchors]
    starts = [start for start, _ in anchors[1:]]
    return ["SpaceAfter=No" if end == start else EMPTY for end, start in zip(ends, [*starts, -1], strict=True)]


def find_tokens(tokens: Iterable[str], text: str) -> list[tuple[int, int]] | None:
    """Where each token begins and ends in a text; `None`, if there is more between them than space."""
    anchors = []
    end = 0
    for token in tokens:
        start = text.find(token, end)
        if start < 0 or text[end:start].strip():
            return None
        end = start + len(token)
        anchors.append((start, end))
    return None if text[end:].strip() else anchors


def _incoming(arcs: Iterable[tuple[int, int, str]], tops: Iterable[int], size: int) -> list[list[tuple[int, str]]]:
    """For each word its heads, in order, with the labels."""
    columns: Mapping[int, list[tuple[int, str]]] = {position: [] for position in range(1, size + 1)}
    for head, argument, label in sorted([*((0, top, TOP_LABEL) for top in tops), *arcs]):
        if argument not in columns or not 0 <= head <= size:
            raise ValueError(f"Expected positions from 1 to {size}, found {(head, argument)}")
        columns[argument].append((head, label))
    return list(columns.values())


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _unescape(text: str) -> str:
    return re.sub(r"\\.", lambda match: _UNESCAPES.get(match[0], match[0]), text)
