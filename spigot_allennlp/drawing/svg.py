"""A picture as an SVG document, which a page may show whose policy forbids styles in its markup."""

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from spigot_allennlp.drawing.kinds import Meanings
from spigot_allennlp.drawing.layout import SMALL_SIZE, WORD_SIZE
from spigot_allennlp.drawing.picture import ArcShape, Picture, Point, Text, Word
from spigot_allennlp.drawing.text import clean

_SVG = "http://www.w3.org/2000/svg"
ElementTree.register_namespace("", _SVG)
_EMPHASIS = "#E8A200"
_PALEST = 0.25


def write(picture: Picture, tokens: Sequence[str], meanings: Meanings | None = None) -> str:
    """
    The document. Each word is a group `word` with its 1-based position in `data-word`; each arc a group `arc` with
    `data-source`, `data-target`, `data-side` and perhaps `data-weight`, whose title says what it is; one that goes over
    several lines of words is a group on each.
    """
    svg = Element(f"{{{_SVG}}}svg", {"role": "img", "font-family": "sans-serif", "font-size": str(WORD_SIZE)})
    if picture.is_right_to_left:
        svg.set("direction", "rtl")
    _set_size(svg, picture.width, picture.height)
    _add(svg, "title", text=" ".join(tokens))
    for shape in picture.arcs:
        _add_arc(svg, shape, tokens, meanings)
    for word in picture.words:
        _add_word(svg, word)
    for kind, x, text in picture.legend:
        entry = _add(svg, "g", {"class": "legend"})
        line = {"d": f"M{x:g},{text.y - 4:g} h34", "stroke": kind.color, "stroke-width": "2"}
        _add(entry, "path", {**line, "stroke-dasharray": kind.dashes})
        place = {"x": f"{text.x:g}", "y": f"{text.y:g}", "fill": "currentColor", "font-size": str(SMALL_SIZE)}
        _add(entry, "text", {**place, "direction": "ltr"}, text.text)
    return ElementTree.tostring(svg, encoding="unicode")


def stack(documents: Sequence[str]) -> str:
    """One document that has the given ones below each other."""
    pictures = [ElementTree.fromstring(document) for document in documents]
    tops = [0.0]
    for picture in pictures:
        tops.append(tops[-1] + float(picture.get("height", 0)))
    width = max(float(picture.get("width", 0)) for picture in pictures)
    outer = Element(f"{{{_SVG}}}svg")
    _set_size(outer, width, tops.pop())
    for picture, top in zip(pictures, tops, strict=True):
        picture.set("y", f"{top:g}")
        outer.append(picture)
    return ElementTree.tostring(outer, encoding="unicode")


def _add_word(svg: Element, word: Word) -> None:
    group = _add(svg, "g", {"class": "word", "data-word": str(word.position)})
    x, y, width, height = (f"{value:g}" for value in word.box)
    # Also what a pointer hits, between the letters.
    box = {"x": x, "y": y, "width": width, "height": height, "rx": "4", "fill": _EMPHASIS}
    _add(group, "rect", {"class": "box", **box, "fill-opacity": f"{0.5 * word.emphasis:.2g}"})
    _add_text(group, "form", word.form, WORD_SIZE)
    if word.tag is not None:
        _add_text(group, "tag", word.tag, SMALL_SIZE)
    for mark in word.marks:
        _add_text(group, "mark", mark, SMALL_SIZE)


def _add_arc(svg: Element, shape: ArcShape, words: Sequence[str], meanings: Meanings | None) -> None:
    arc = shape.arc
    attributes = {
        "class": f"arc {arc.kind.name}",
        "data-source": str(arc.source),
        "data-target": str(arc.target),
        "data-side": "above" if shape.is_above else "below",
    }
    if arc.weight is not None:
        attributes["data-weight"] = f"{arc.weight:.4g}"
    group = _add(svg, "g", attributes)
    _add(group, "title", text=_describe(shape, words, meanings))
    path = " ".join(command + " ".join(map(_format, points)) for command, points in shape.path)
    pale = 1.0 if arc.weight is None else _PALEST + (1 - _PALEST) * min(arc.weight, 1.0)
    line = {"d": path, "fill": "none", "stroke": arc.color, "stroke-width": "1.5"}
    # Also what a pointer hits, beside a thin line.
    _add(group, "path", {**line, "class": "near", "stroke-width": "9", "stroke-opacity": "0"})
    visible = {"stroke-opacity": f"{pale:.2g}", "stroke-dasharray": arc.kind.dashes}
    _add(group, "path", {**line, "class": "line", **visible})
    if shape.tip:
        tip = "M" + " L".join(map(_format, shape.tip)) + " Z"
        _add(group, "path", {"class": "tip", "d": tip, "fill": arc.color, "fill-opacity": f"{pale:.2g}"})
    if shape.label is not None:
        _add_text(group, "label", shape.label, SMALL_SIZE)


def _describe(shape: ArcShape, words: Sequence[str], meanings: Meanings | None) -> str:
    arc = shape.arc
    text = f"{words[arc.source - 1]} \N{RIGHTWARDS ARROW} {words[arc.target - 1]}"
    if arc.label:
        text = f"{arc.label}: {text}"
    if arc.weight is not None:
        text += f", {arc.weight:.3g}"
    if meanings is not None and arc.kind.prefix:
        text += f" ({meanings[1 if arc.kind.prefix == '+' else 2]})"
    return text


def _add_text(parent: Element, name: str, text: Text, size: int) -> None:
    # In the colour of the page's text, whatever that is: what tells kinds apart is their sign.
    attributes = {"class": name, "x": f"{text.x:g}", "y": f"{text.y:g}", "text-anchor": "middle"}
    _add(parent, "text", {**attributes, "fill": "currentColor", "font-size": str(size)}, text.text)


def _add(parent: Element, name: str, attributes: dict[str, str] | None = None, text: str | None = None) -> Element:
    element = SubElement(parent, f"{{{_SVG}}}{name}", attributes or {})
    element.text = None if text is None else clean(text)
    return element


def _format(point: Point) -> str:
    return f"{point[0]:g},{point[1]:g}"


def _set_size(svg: Element, width: float, height: float) -> None:
    svg.set("width", f"{width:g}")
    svg.set("height", f"{height:g}")
    svg.set("viewBox", f"0 0 {width:g} {height:g}")
