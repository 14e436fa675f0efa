"""The shapes of a picture: where each word, line, arrowhead and label is, before it is written as SVG or an image."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from spigot_allennlp.drawing import layout
from spigot_allennlp.drawing.kinds import KINDS, Kind, Meanings, check_lengths
from spigot_allennlp.drawing.layout import SMALL_SIZE, WORD_SIZE
from spigot_allennlp.drawing.side import DrawnArc, Side
from spigot_allennlp.drawing.text import is_right_to_left, text_width

Point = tuple[float, float]

_MARGIN = 6
_LINE_GAP = 14  # between two lines of words
_WORD_HEIGHT, _ROW_HEIGHT = 24, 16
_BASELINE, _ROW_BASELINE = 17, 12
_RADIUS = 7
_TIP = 7  # the length of an arrowhead
_LABEL_GAP = 3  # between a label and its line
_LEGEND_HEIGHT, _LEGEND_LINE = 30, 34


@dataclass
class Text:
    """Text around the middle `x`, on the baseline `y`; that of a mark has a kind."""

    x: float
    y: float
    text: str
    kind: Kind | None = None


@dataclass
class Word:
    """
    A word with what is written below it.

    # Parameters

    position : `int`
        1-based.
    form : `Text`
    tag : `Text`, optional
    marks : `list[Text]`
    box : `tuple[float, float, float, float]`
        x, y, width and height.
    emphasis : `float`
        From 0 to 1.
    """

    position: int
    form: Text
    box: tuple[float, float, float, float]
    tag: Text | None = None
    marks: list[Text] = field(default_factory=list)
    emphasis: float = 0.0


@dataclass
class ArcShape:
    """
    What is drawn of an arc on one line of words.

    # Parameters

    arc : `DrawnArc`
    is_above : `bool`
    path : `list[tuple[str, list[tuple[float, float]]]]`
        The commands "M", "L" and "Q" of SVG, with absolute points.
    tip : `list[tuple[float, float]]`
        The corners of the arrowhead, if it is here.
    label : `Text`, optional
    """

    arc: DrawnArc
    is_above: bool
    path: list[tuple[str, list[Point]]]
    tip: list[Point]
    label: Text | None


@dataclass
class Picture:
    """
    # Parameters

    width, height : `float`
    words : `list[Word]`
    arcs : `list[ArcShape]`
    legend : `list[tuple[Kind, float, Text]]`
        The kinds and what they mean: where the line of each begins, and its text, which begins at `x`.
    is_right_to_left : `bool`
    """

    width: float
    height: float
    words: list[Word]
    arcs: list[ArcShape]
    legend: list[tuple[Kind, float, Text]]
    is_right_to_left: bool


def place(
    tokens: Sequence[str],
    above: Side | None = None,
    below: Side | None = None,
    tags: Sequence[str] | None = None,
    emphasis: Sequence[float] | None = None,
    meanings: Meanings | None = None,
    max_width: float | None = None,
) -> Picture:
    """
    The shapes of a sentence with a structure above it, another below it, or both.

    # Parameters

    tokens : `Sequence[str]`
    above, below : `Side`, optional (default = `None`)
    tags : `Sequence[str]`, optional (default = `None`)
        What is written below each word.
    emphasis : `Sequence[float]`, optional (default = `None`)
        How much each word stands out, from 0 to 1.
    meanings : `tuple[str, str, str]`, optional (default = `None`)
        What a legend says of arcs that are in both, predicted alone and gold alone; by default there is none.
    max_width : `float`, optional (default = `None`)
        Where lines are broken; by default nowhere.

    # Raises

    `ValueError` for lists of different lengths, and positions out of the sentence.
    """
    check_lengths([tokens, tags, emphasis])
    sides = [(side, is_above) for side, is_above in ((above, True), (below, False)) if side is not None]
    for side, _ in sides:
        side.check(len(tokens))
    marks = [
        [(kind.prefix + side.mark, kind) for side, _ in sides if (kind := side.marks().get(position)) is not None]
        for position in range(1, len(tokens) + 1)
    ]
    drawn = [(arc, is_above) for side, is_above in sides for arc in side.drawn_arcs()]
    words = _Words(tokens, tags, marks, emphasis)
    arcs = [layout.Arc(arc.source - 1, arc.target - 1, arc.label, is_above) for arc, is_above in drawn]
    lines = layout.lay_out(words.widths(), arcs, None if max_width is None else max_width - 2 * _MARGIN)
    mirrors = is_right_to_left(tokens)
    width = max(line.width for line in lines) + 2 * _MARGIN
    entries, legend_width = _legend(meanings)
    width = max(width, legend_width)

    def x(position: float) -> float:
        return round(width - _MARGIN - position if mirrors else position + _MARGIN, 1)

    shapes: list[ArcShape] = []
    placed: list[Word] = []
    y = float(_MARGIN)
    for line in lines:
        if line is not lines[0]:
            y += _LINE_GAP
        y += line.height_above
        height = words.height(line)
        for parts, is_above in ((line.above, True), (line.below, False)):
            base = y if is_above else y + height
            shapes += [_shape(part, drawn[part.arc], arcs[part.arc].label, base, x) for part in parts]
        placed += words.place(line, y, x)
        y += height + line.height_below
    y += _MARGIN
    legend = []
    if entries:
        legend = [(kind, start, Text(text_x, y + 18, text)) for kind, start, text_x, text in entries]
        y += _LEGEND_HEIGHT
    return Picture(round(width, 1), round(y, 1), placed, shapes, legend, mirrors)


class _Words:
    """The words with what is written below them."""

    def __init__(
        self,
        tokens: Sequence[str],
        tags: Sequence[str] | None,
        marks: Sequence[Sequence[tuple[str, Kind]]],
        emphasis: Sequence[float] | None,
    ) -> None:
        self._tokens = tokens
        self._tags = tags
        self._marks = marks
        self._emphasis = emphasis or [0.0] * len(tokens)

    def widths(self) -> list[float]:
        tags = self._tags or [""] * len(self._tokens)
        return [
            max(text_width(token, WORD_SIZE), *(text_width(text, SMALL_SIZE) for text in (tag, _joined(marks))))
            for token, tag, marks in zip(self._tokens, tags, self._marks, strict=True)
        ]

    def height(self, line: layout.Line) -> float:
        rows = (self._tags is not None) + any(self._marks[line.first + i] for i in range(len(line.centers)))
        return _WORD_HEIGHT + rows * _ROW_HEIGHT

    def place(self, line: layout.Line, y: float, x) -> list[Word]:
        return [self._place(line, index, y, x) for index in range(len(line.centers))]

    def _place(self, line: layout.Line, index: int, y: float, x) -> Word:
        position = line.first + index
        center = x(line.centers[index])
        width = text_width(self._tokens[position], WORD_SIZE) + 6
        box = (round(center - width / 2, 1), y, round(width, 1), self.height(line))
        word = Word(position + 1, Text(center, y + _BASELINE, self._tokens[position]), box)
        word.emphasis = self._emphasis[position]
        y += _WORD_HEIGHT
        if self._tags is not None:
            word.tag = Text(center, y + _ROW_BASELINE - 3, self._tags[position])
            y += _ROW_HEIGHT
        marks = self._marks[position]
        start = center - text_width(_joined(marks), SMALL_SIZE) / 2
        for text, kind in marks:
            width = text_width(text, SMALL_SIZE)
            word.marks.append(Text(round(start + width / 2, 1), y + _ROW_BASELINE - 3, text, kind))
            start += width + text_width(" ", SMALL_SIZE)
        return word


def _joined(marks: Sequence[tuple[str, Kind]]) -> str:
    return " ".join(text for text, _ in marks)


def _shape(part: layout.ArcPart, drawn: tuple[DrawnArc, bool], label: str, base: float, x) -> ArcShape:
    arc, is_above = drawn
    out = -1 if is_above else 1  # away from the words
    y = base + out * part.height
    radius = min(_RADIUS, (part.end - part.start) / 2)
    goes_right = arc.source < arc.target

    def foot(is_tip: bool) -> float:
        return base + out * (_TIP if is_tip else 2)

    path: list[tuple[str, list[Point]]] = [("M", [(x(part.start), y)])]
    if part.has_start:
        path = [
            ("M", [(x(part.start), foot(part.has_tip and not goes_right))]),
            ("L", [(x(part.start), y - out * radius)]),
            ("Q", [(x(part.start), y), (x(part.start + radius), y)]),
        ]
    text = None
    if part.label is not None:
        middle, width = part.label
        path.append(("L", [(x(middle - width / 2 - _LABEL_GAP), y)]))
        path.append(("M", [(x(middle + width / 2 + _LABEL_GAP), y)]))
        text = Text(x(middle), y + 4, label)
    if part.has_end:
        path.append(("L", [(x(part.end - radius), y)]))
        path.append(("Q", [(x(part.end), y), (x(part.end), y - out * radius)]))
        path.append(("L", [(x(part.end), foot(part.has_tip and goes_right))]))
    else:
        path.append(("L", [(x(part.end), y)]))
    tip: list[Point] = []
    if part.has_tip:
        at = x(part.end if goes_right else part.start)
        tip = [(at, base + out), (at - 3.5, base + out * (_TIP + 1)), (at + 3.5, base + out * (_TIP + 1))]
    return ArcShape(arc, is_above, path, tip, text)


def _legend(meanings: Meanings | None) -> tuple[list[tuple[Kind, float, float, str]], float]:
    """The kind, the places of the line and the text, and the text of each entry; and how wide they all are."""
    entries: list[tuple[Kind, float, float, str]] = []
    x = float(2 * _MARGIN)
    for kind, meaning in zip(KINDS, meanings or (), strict=False):
        text = f"{kind.prefix} {meaning}".strip()
        entries.append((kind, x, x + _LEGEND_LINE + 8, text))
        x += _LEGEND_LINE + 8 + text_width(text, SMALL_SIZE) + 20
    return entries, x if entries else 0.0
