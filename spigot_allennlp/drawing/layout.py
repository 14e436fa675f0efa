"""
Where the words and arcs of a picture stand.

Words stand on lines, arcs above or below them. An arc goes up from its one word, along at the height of its level, and
down to the other, with its label in a gap of the part along. Arcs that lie inside others are lower; arcs that would
touch are on different levels, and each leaves its word at a place of its own. Words move apart until each label has a
gap that no other arc runs through.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from spigot_allennlp.drawing.text import text_width

WORD_SIZE, SMALL_SIZE = 16, 12
_LEVEL = 19  # from one level to the next
_BARE_LEVEL = 11  # the same, where no arc has a label
_FIRST = 20  # from the words to the first level
_PORT = 9  # between the places at which arcs leave a word
_RADIUS = 7  # of the corners of arcs
_GAP = 14  # between words
_LABEL_PADDING = 4  # beside a label
_EDGE = 10  # from the first and the last word to the edges of the line


@dataclass
class Arc:
    """
    An arc to be placed.

    # Parameters

    source, target : `int`
        The positions of the two words, from 0.
    label : `str`, optional (default = `""`)
    is_above : `bool`, optional (default = `True`)
        Whether it is above the words or below them.
    """

    source: int
    target: int
    label: str = ""
    is_above: bool = True

    @property
    def span(self) -> tuple[int, int]:
        return min(self.source, self.target), max(self.source, self.target)


@dataclass
class ArcPart:
    """
    What is drawn of an arc on a line.

    # Parameters

    arc : `int`
        Its index.
    level : `int`
        From 1, the next to the words.
    height : `float`
        How far from the words its part along is.
    start, end : `float`
        Where it leaves its left word and its right word, or the edges of the line.
    has_start, has_end : `bool`
        Whether these are words, and not the edges.
    has_tip : `bool`
        Whether the target is among them.
    label : `tuple[float, float]`, optional
        The middle and the width of the label, if it stands here.
    """

    arc: int
    level: int
    height: float
    start: float
    end: float
    has_start: bool
    has_end: bool
    has_tip: bool
    label: tuple[float, float] | None = None


@dataclass
class Line:
    """
    Some of the words, one beside the other.

    # Parameters

    first : `int`
        The position of the first word, from 0.
    centers : `list[float]`
        The middle of each word.
    width : `float`
    above, below : `list[ArcPart]`
    """

    first: int
    centers: list[float]
    width: float
    above: list[ArcPart] = field(default_factory=list)
    below: list[ArcPart] = field(default_factory=list)

    @property
    def height_above(self) -> float:
        return _height(self.above)

    @property
    def height_below(self) -> float:
        return _height(self.below)


def lay_out(widths: Sequence[float], arcs: Sequence[Arc], max_width: float | None = None) -> list[Line]:
    """
    The lines of a sentence.

    # Parameters

    widths : `Sequence[float]`
        How much room each word needs.
    arcs : `Sequence[Arc]`
    max_width : `float`, optional (default = `None`)
        How wide a line may be, if it has more than one word; by default there is one line.
    """
    lines: list[Line] = []
    start = 0
    while start < len(widths) or not lines:
        end = len(widths) if max_width is None else _most_that_fit(widths, start, max_width)
        line = _Line(widths, arcs, start, end).place()
        while max_width is not None and line.width > max_width and end > start + 1:
            # As many as fit if they stay where they are; at least one less than before.
            fitting = sum(
                center + width / 2 + _EDGE <= max_width
                for center, width in zip(line.centers, widths[start:end], strict=True)
            )
            end = start + max(1, min(fitting, end - start - 1))
            line = _Line(widths, arcs, start, end).place()
        lines.append(line)
        start = end
        if not widths:
            break
    return lines


def label_width(label: str) -> float:
    return text_width(label, SMALL_SIZE) if label else 0.0


def levels(spans: Sequence[tuple[int, int]]) -> list[int]:
    """
    The level of each arc between two positions, from 1. An arc is above those that lie inside it, and on another level
    than those that it crosses; arcs that only share a word may be on one level.
    """
    found = [0] * len(spans)
    placed: list[int] = []
    for index in sorted(range(len(spans)), key=lambda i: (spans[i][1] - spans[i][0], spans[i][0])):
        start, end = spans[index]
        lowest, taken = 1, set()
        for other in placed:
            left, right = spans[other]
            if left < end and start < right:
                taken.add(found[other])
                if start <= left and right <= end:
                    lowest = max(lowest, found[other] + 1)
        while lowest in taken:
            lowest += 1
        found[index] = lowest
        placed.append(index)
    return found


class _Line:
    """The words from `start` to `end`, before they have places. The edges are words too: `start - 1` and `end`."""

    def __init__(self, widths: Sequence[float], arcs: Sequence[Arc], start: int, end: int) -> None:
        self._arcs = arcs
        self._start = start
        self._size = end - start
        self._sides = [_Side(arcs, start, end, is_above) for is_above in (True, False)]
        needed = [
            max([width, *((side.num_ports.get(start + i, 0) + 1) * _PORT for side in self._sides)])
            for i, width in enumerate(widths[start:end])
        ]
        # Of the distance between two words, by the right one: the left one, and how far at least they are apart.
        self._apart: list[list[tuple[int, float]]] = [[] for _ in range(self._size + 2)]
        halves = [0.0, *(width / 2 for width in needed), 0.0]
        for right, (before, after) in enumerate(pairwise(halves), start=1):
            gap = _EDGE if right in (1, self._size + 1) else _GAP
            self._apart[right].append((right - 1, before + after + gap))

    def place(self) -> Line:
        for side in self._sides:
            for part in side.parts:
                labelled = label_width(self._arcs[part.arc].label)
                room = labelled + 2 * (_RADIUS + _LABEL_PADDING) if part.label else 2 * _RADIUS
                self._move_apart(side, part, side.ends[part.arc], room)
        places = self._solve()
        for side in self._sides:
            for part in side.parts:
                if part.label and not self._find_gap(side, part, places):
                    places = self._solve()
        for side in self._sides:
            for part in side.parts:
                left, right = side.ends[part.arc]
                part.start, part.end = self._port(side, part, left, places), self._port(side, part, right, places)
                part.label = self._label(side, part, places) if part.label else None
        width = places[-1]
        above, below = (side.parts for side in self._sides)
        return Line(self._start, places[1:-1], width, above, below)

    def _solve(self) -> list[float]:
        """The places of the words and the edges, as far left as they can be."""
        places = [0.0]
        for apart in self._apart[1:]:
            places.append(max(places[left] + distance for left, distance in apart))
        return places

    def _port(self, side: "_Side", part: ArcPart, word: int, places: Sequence[float]) -> float:
        return places[word - self._start + 1] + side.offsets.get((part.arc, word), 0.0)

    def _move_apart(self, side: "_Side", part: ArcPart, words: tuple[int, int], room: float) -> None:
        left, right = words
        offset = side.offsets.get((part.arc, left), 0.0) - side.offsets.get((part.arc, right), 0.0)
        self._apart[right - self._start + 1].append((left - self._start + 1, room + offset))

    def _stems(self, side: "_Side", part: ArcPart, places: Sequence[float]) -> list[tuple[float, int, float]]:
        """
        The place, the word and the offset of what runs through the height of an arc between its ends, and of its ends.
        """
        left, right = side.ends[part.arc]
        found = [(self._port(side, part, word, places), word) for word in (left, right)]
        for other in side.parts:
            if other.level > part.level:
                for word in side.ends[other.arc]:
                    if left < word < right:
                        found.append((self._port(side, other, word, places), word))
        return sorted((place, word, place - places[word - self._start + 1]) for place, word in found)

    def _gaps(self, side: "_Side", part: ArcPart, places: Sequence[float]) -> Iterator[tuple[float, float, tuple]]:
        """The gaps beside which nothing runs through the height of an arc: start, end, and what is on both sides."""
        stems = self._stems(side, part, places)
        ends = {stems[0][0], stems[-1][0]}
        for before, after in pairwise(stems):
            start = before[0] + _LABEL_PADDING + (_RADIUS if before[0] in ends else 0)
            end = after[0] - _LABEL_PADDING - (_RADIUS if after[0] in ends else 0)
            yield start, end, (before, after)

    def _find_gap(self, side: "_Side", part: ArcPart, places: Sequence[float]) -> bool:
        """Whether there is a gap for the label of an arc; if not, the words at the widest are moved apart."""
        width = label_width(self._arcs[part.arc].label)
        gaps = list(self._gaps(side, part, places))
        if any(end - start >= width - 1e-6 for start, end, _ in gaps):
            return True
        candidates = [gap for gap in gaps if gap[2][0][1] != gap[2][1][1]]
        start, end, (before, after) = max(candidates, key=lambda gap: gap[1] - gap[0])
        missing = width - (end - start)
        distance = places[after[1] - self._start + 1] - places[before[1] - self._start + 1] + missing
        self._apart[after[1] - self._start + 1].append((before[1] - self._start + 1, distance))
        return False

    def _label(self, side: "_Side", part: ArcPart, places: Sequence[float]) -> tuple[float, float]:
        """The middle of the label, as near to that of its arc as it can be, and its width."""
        width = label_width(self._arcs[part.arc].label)
        middle = (part.start + part.end) / 2
        candidates = [
            min(max(middle, start + width / 2), end - width / 2)
            for start, end, _ in self._gaps(side, part, places)
            if end - start >= width - 1e-6
        ]
        return min(candidates, key=lambda place: abs(place - middle)), width


class _Side:
    """What is above a line, or below it: the parts of arcs, and where they leave their words."""

    def __init__(self, arcs: Sequence[Arc], start: int, end: int, is_above: bool) -> None:
        # One that passes over the whole line has nothing to say here.
        words = range(start, end)
        here = [
            index
            for index, arc in enumerate(arcs)
            if arc.is_above == is_above and not {arc.source, arc.target}.isdisjoint(words)
        ]
        distance = _LEVEL if any(arc.label for arc in arcs if arc.is_above == is_above) else _BARE_LEVEL
        self.parts: list[ArcPart] = []
        self.ends: dict[int, tuple[int, int]] = {}
        for index, level in zip(here, levels([arcs[index].span for index in here]), strict=True):
            left, right = arcs[index].span
            has_start, has_end = left >= start, right < end
            has_tip = has_end if arcs[index].target == right else has_start
            label = (0.0, 0.0) if arcs[index].label else None
            height = _FIRST + (level - 1) * distance
            self.parts.append(ArcPart(index, level, height, 0.0, 0.0, has_start, has_end, has_tip, label))
            self.ends[index] = max(left, start - 1), min(right, end)
        # From left to right: what goes to the left, the lowest first, and what goes to the right, the highest first.
        ports: dict[int, list[tuple[int, int, int]]] = {}
        for part in self.parts:
            left, right = self.ends[part.arc]
            if part.has_start:
                ports.setdefault(left, []).append((1, -part.level, part.arc))
            if part.has_end:
                ports.setdefault(right, []).append((0, part.level, part.arc))
        self.num_ports = {word: len(found) for word, found in ports.items()}
        self.offsets = {
            (arc, word): (place - (len(found) - 1) / 2) * _PORT
            for word, found in ports.items()
            for place, (_, _, arc) in enumerate(sorted(found))
        }


def _height(parts: Sequence[ArcPart]) -> float:
    if not parts:
        return 0.0
    return max(part.height for part in parts) + SMALL_SIZE


def _most_that_fit(widths: Sequence[float], start: int, max_width: float) -> int:
    """The end of a line that begins with a word, if arcs needed no room."""
    end, used = start, 2 * _EDGE - _GAP
    while end < len(widths) and (end <= start or used + _GAP + widths[end] <= max_width):
        used += _GAP + widths[end]
        end += 1
    return end
