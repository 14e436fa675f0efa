"""Trees and graphs as SVG pictures, drawn by [displaCy](https://spacy.io/usage/visualizers)."""

import re
from collections.abc import Collection, Iterable, Sequence
from html import escape
from typing import Any, NamedTuple
from xml.etree import ElementTree

from spacy import displacy

_SVG = "http://www.w3.org/2000/svg"
ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARGIN = 50
_LEGEND_HEIGHT = 40

Arc = tuple[int, int, str]
Meanings = tuple[str, str, str]
DIFFERENCES: Meanings = ("predicted and gold", "only predicted", "only gold")
CHANGES: Meanings = ("as before", "new", "gone")


class Kind(NamedTuple):
    """How what is predicted, gold or both is told apart, by more than its colour."""

    prefix: str
    color: str
    dashes: str


# Colours that the colour-blind can tell apart, with a contrast of at least 3.9 on white and on black.
_BOTH = Kind("", "currentColor", "none")
_SPURIOUS = Kind("+", "#D55E00", "2 3")
_MISSED = Kind("\N{MINUS SIGN}", "#2F80ED", "9 4")
KINDS = (_BOTH, _SPURIOUS, _MISSED)


def draw_tree(
    tokens: Sequence[str],
    heads: Sequence[int],
    head_tags: Sequence[str] | None = None,
    gold_heads: Sequence[int] | None = None,
    meanings: Meanings = DIFFERENCES,
) -> str:
    """
    A dependency tree as an SVG document. The tokens whose head is ROOT are marked `root`.

    # Parameters

    tokens : `Sequence[str]`
    heads : `Sequence[int]`
        The head of each token, a 1-based position or 0 for ROOT.
    head_tags : `Sequence[str]`, optional (default = `None`)
        The label of each arc.
    gold_heads : `Sequence[int]`, optional (default = `None`)
        What `heads` should be. Differences are coloured, dashed and marked with a plus sign (only predicted) or a
        minus sign (only gold).
    meanings : `tuple[str, str, str]`, optional
        What the legend says of arcs in both, in `heads` alone and in `gold_heads` alone.

    # Raises

    `ValueError` for lists of different lengths, and for arcs from a token to itself or out of the sentence.
    """
    sizes = {len(column) for column in (tokens, heads, head_tags, gold_heads) if column is not None}
    if len(sizes) > 1:
        raise ValueError(f"Expected lists of one length, found {sorted(sizes)}")
    labels = [""] * len(tokens) if head_tags is None else head_tags
    arcs = [(head, modifier, label) for modifier, (head, label) in enumerate(zip(heads, labels, strict=True), start=1)]
    gold = None
    if gold_heads is not None:
        # The labels of gold heads are not known, and not compared.
        gold = [
            (head, modifier, label if head == predicted else "")
            for head, (predicted, modifier, label) in zip(gold_heads, arcs, strict=True)
        ]
    gold_parts = (None, None) if gold is None else _split(gold)
    return _draw(tokens, *_split(arcs), *gold_parts, mark="root", meanings=meanings)


def draw_graph(
    tokens: Sequence[str],
    arcs: Iterable[Arc],
    tops: Collection[int] = (),
    gold: Iterable[Arc] | None = None,
    gold_tops: Collection[int] | None = None,
    mark: str = "top",
    meanings: Meanings = DIFFERENCES,
) -> str:
    """
    A semantic graph as an SVG document.

    # Parameters

    tokens : `Sequence[str]`
    arcs : `Iterable[tuple[int, int, str]]`
        (predicate, argument, label) of each arc, in 1-based positions.
    tops : `Collection[int]`, optional (default = `()`)
    gold : `Iterable[tuple[int, int, str]]`, optional (default = `None`)
        What `arcs` should be. Differences are coloured, dashed and marked with a plus sign (only predicted) or a
        minus sign (only gold); an arc with another label is one of each.
    gold_tops : `Collection[int]`, optional (default = `None`)
        What `tops` should be.
    mark : `str`, optional (default = `"top"`)
        What is written below the tops.
    meanings : `tuple[str, str, str]`, optional
        What the legend says of arcs in both, in `arcs` alone and in `gold` alone.

    # Raises

    `ValueError` for arcs from a token to itself or out of the sentence.
    """
    return _draw(tokens, arcs, tops, gold, gold_tops, mark=mark, meanings=meanings)


def stack(pictures: Sequence[str]) -> str:
    """One SVG document that has the given ones below each other."""
    documents = [ElementTree.fromstring(picture) for picture in pictures]
    tops = [0.0]
    for document in documents:
        tops.append(tops[-1] + float(document.get("height", 0)))
    width = max(float(document.get("width", 0)) for document in documents)
    outer = ElementTree.Element(f"{{{_SVG}}}svg")
    _set_size(outer, width, tops.pop())
    for document, top in zip(documents, tops, strict=True):
        document.set("y", f"{top:g}")
        outer.append(document)
    return ElementTree.tostring(outer, encoding="unicode")


def _split(arcs: Iterable[Arc]) -> tuple[list[Arc], list[int]]:
    """The arcs between tokens, and the tokens below ROOT."""
    arcs = list(arcs)
    return [arc for arc in arcs if arc[0] != 0], [modifier for head, modifier, _ in arcs if head == 0]


def _draw(
    tokens: Sequence[str],
    arcs: Iterable[Arc],
    marked: Collection[int],
    gold_arcs: Iterable[Arc] | None,
    gold_marked: Collection[int] | None,
    mark: str,
    meanings: Meanings,
) -> str:
    arc_kinds = kinds(map(tuple, arcs), None if gold_arcs is None else map(tuple, gold_arcs))
    mark_kinds = kinds(marked, gold_marked)
    for position in [*(end for arc in arc_kinds for end in arc[:2]), *mark_kinds]:
        if not 1 <= position <= len(tokens):
            raise ValueError(f"Expected positions from 1 to {len(tokens)}, found {position}")
    for source, target, _ in arc_kinds:
        if source == target:
            raise ValueError(f"Expected arcs between two tokens, found one from {source} to itself")

    marks = [mark_kinds[i].prefix + mark if i in mark_kinds else "" for i in range(1, len(tokens) + 1)]
    labels = [kind.prefix + _clean(label) for (_, _, label), kind in arc_kinds.items()]
    lines = [(source, target, label) for (source, target, _), label in zip(arc_kinds, labels, strict=True)]
    picture = _render(list(map(_clean, tokens)), marks, lines)
    for arrow, kind in zip(_find(picture, "displacy-arrow"), arc_kinds.values(), strict=True):
        arrow.set("color", kind.color)
        line, label, _ = arrow
        line.set("stroke-dasharray", kind.dashes)
        label.set("dy", "-0.4em")  # outside of the arc, where there is room for all letters
    for position, tag in enumerate(_find(picture, "displacy-tag"), start=1):
        if position in mark_kinds:
            tag.set("fill", mark_kinds[position].color)
    width, height = float(picture.get("width", 0)), float(picture.get("height", 0))
    if gold_arcs is not None:
        width = max(width, _add_legend(picture, height, meanings))
        height += _LEGEND_HEIGHT
    _set_size(picture, width, height)
    return ElementTree.tostring(picture, encoding="unicode")


def _render(tokens: list[str], marks: list[str], arcs: list[Arc]) -> ElementTree.Element:
    """displaCy's picture, without its colours and with a title for those who cannot see it."""
    sentence = {
        # Of all these strings, displaCy escapes only the text of a word.
        "words": [{"text": token, "tag": mark} for token, mark in zip(tokens, marks, strict=True)],
        "arcs": [
            {
                "start": min(source, target) - 1,
                "end": max(source, target) - 1,
                "label": escape(label),
                "dir": "right" if source < target else "left",
            }
            for source, target, label in arcs
        ],
    }
    longest = max(map(len, [*tokens, *(label for _, _, label in arcs)]), default=0)
    options = {"distance": min(max(110, 10 * longest + 20), 250), "offset_x": _MARGIN, "arrow_spacing": 10}
    svg = displacy.render(sentence, style="dep", manual=True, jupyter=False, options=options)
    picture = ElementTree.fromstring(svg)
    picture.set("style", "font-family: sans-serif")
    for element in picture.iter():
        # As attributes of their own, which a page may show whose policy forbids styles in its markup.
        for declaration in element.attrib.pop("style", "").split(";"):
            name, _, value = declaration.partition(":")
            if value:
                element.set(name.strip(), value.strip())
    picture.set("role", "img")
    title = ElementTree.Element(f"{{{_SVG}}}title")
    title.text = " ".join(tokens)
    picture.insert(0, title)
    return picture


def kinds(predicted: Iterable, gold: Iterable | None) -> dict[Any, Kind]:
    """The kind of everything that is predicted or gold."""
    predicted = list(predicted)
    gold = predicted if gold is None else list(gold)
    found = {item: _BOTH if item in gold else _SPURIOUS for item in predicted}
    return found | {item: _MISSED for item in gold if item not in found}


def _add_legend(picture: ElementTree.Element, y: float, meanings: Meanings) -> float:
    """Adds a line and its meaning for each kind below `y`, and returns the width they take."""
    x = _MARGIN / 2
    for kind, meaning in zip(KINDS, meanings, strict=True):
        entry = ElementTree.SubElement(picture, f"{{{_SVG}}}g", {"class": "legend", "color": kind.color})
        path = {"d": f"M{x:g},{y + 15:g} h40", "stroke": "currentColor", "stroke-width": "2px"}
        ElementTree.SubElement(entry, f"{{{_SVG}}}path", {**path, "stroke-dasharray": kind.dashes})
        place = {"x": f"{x + 50:g}", "y": f"{y + 20:g}", "fill": "currentColor", "font-size": "0.8em"}
        text = ElementTree.SubElement(entry, f"{{{_SVG}}}text", place)
        text.text = f"{kind.prefix} {meaning}".strip()
        x += 70 + 9 * len(text.text)
    return x


def _find(element: ElementTree.Element, name: str) -> Iterable[ElementTree.Element]:
    return (child for child in element.iter() if child.get("class") == name)


def _set_size(picture: ElementTree.Element, width: float, height: float) -> None:
    picture.set("width", f"{width:g}")
    picture.set("height", f"{height:g}")
    picture.set("viewBox", f"0 0 {width:g} {height:g}")


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
