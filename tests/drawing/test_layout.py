import random
from itertools import combinations, pairwise
from typing import ClassVar

import pytest

from spigot_allennlp.drawing.layout import SMALL_SIZE, Arc, label_width, lay_out, levels


def nests(inner, outer):
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def random_arcs(generator, num_words, num_arcs, sides=(True, False)):
    arcs = []
    for _ in range(num_arcs):
        source, target = generator.sample(range(num_words), 2)
        label = generator.choice(["", "a", "nsubj:pass", "ARG1", "a very long label"])
        arcs.append(Arc(source, target, label, generator.choice(sides)))
    return arcs


def pieces(parts, arcs):
    """The boxes of labels, and the upright and the level lines, of arcs; each with the index of its arc."""
    labels, uprights, levels = [], [], []
    for part in parts:
        y = part.height
        if part.label is not None:
            middle, width = part.label
            assert width == label_width(arcs[part.arc].label)
            labels.append((part.arc, middle - width / 2, middle + width / 2, y - SMALL_SIZE / 2, y + SMALL_SIZE / 2))
        uprights += [(part.arc, x, y) for x, has in ((part.start, part.has_start), (part.end, part.has_end)) if has]
        levels.append((part.arc, part.start, part.end, y))
    return labels, uprights, levels


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("max_width", [None, 500])
def test_labels_are_hit_by_nothing_and_no_two_arcs_run_together(seed, max_width):
    generator = random.Random(seed)
    num_words = generator.randint(2, 25)
    widths = [generator.uniform(5, 90) for _ in range(num_words)]
    arcs = random_arcs(generator, num_words, generator.randint(1, 2 * num_words))
    for line in lay_out(widths, arcs, max_width):
        for parts in (line.above, line.below):
            labels, uprights, along = pieces(parts, arcs)
            for arc, left, right, bottom, top in labels:
                assert 0 <= left and right <= line.width
                assert not [other for other, x, height in uprights if left < x < right and height > bottom]
                assert not [
                    other
                    for other, start, end, y in along
                    if other != arc and bottom < y < top and start < right and left < end
                ]
            for one, other in combinations(labels, 2):
                assert one[2] <= other[1] or other[2] <= one[1] or one[4] <= other[3] or other[4] <= one[3]
            for one, other in combinations(uprights, 2):
                assert abs(one[1] - other[1]) > 4
            for one, other in combinations(along, 2):
                assert one[3] != other[3] or one[2] < other[1] or other[2] < one[1]


@pytest.mark.parametrize("seed", range(10))
def test_words_do_not_touch_and_have_the_room_that_they_need(seed):
    generator = random.Random(seed)
    widths = [generator.uniform(5, 90) for _ in range(12)]
    (line,) = lay_out(widths, random_arcs(generator, 12, 10))
    ends = [(x - width / 2, x + width / 2) for x, width in zip(line.centers, widths, strict=True)]
    assert ends[0][0] >= 0 and ends[-1][1] <= line.width
    assert all(right < left for (_, right), (left, _) in pairwise(ends))


def test_width_follows_the_words():
    (narrow,), (wide,) = lay_out([10, 10, 10], []), lay_out([10, 80, 10], [])
    assert wide.width == narrow.width + 70
    assert wide.centers[1] - wide.centers[0] == narrow.centers[1] - narrow.centers[0] + 35


@pytest.mark.parametrize("seed", range(20))
def test_levels_are_low(seed):
    generator = random.Random(seed)
    spans = [arc.span for arc in random_arcs(generator, 12, 15)]
    found = levels(spans)
    for (one, level), (other, other_level) in combinations(zip(spans, found, strict=True), 2):
        if max(one[0], other[0]) < min(one[1], other[1]):
            assert level != other_level
            if one != other and nests(one, other):
                assert level < other_level
            if one != other and nests(other, one):
                assert other_level < level
    for index, level in enumerate(found):  # nothing is higher than it has to be
        below = {
            other_level
            for other, other_level in zip(spans, found, strict=True)
            if max(spans[index][0], other[0]) < min(spans[index][1], other[1]) and other_level < level
        }
        assert below == set(range(1, level)) or any(nests(other, spans[index]) for other in spans)


def test_arcs_side_by_side_are_all_on_the_lowest_level():
    assert levels([(0, 1), (1, 2), (2, 9), (9, 11)]) == [1, 1, 1, 1]
    assert levels([(0, 3), (0, 1), (1, 3)]) == [2, 1, 1]


def test_arcs_without_labels_are_lower():
    bare, labelled = [[Arc(0, 2, label), Arc(0, 1, label)] for label in ("", "x")]
    assert lay_out([20] * 3, bare)[0].height_above < lay_out([20] * 3, labelled)[0].height_above


def test_arcs_between_the_same_words_are_apart():
    (line,) = lay_out([20, 20], [Arc(0, 1), Arc(1, 0), Arc(0, 1)])
    assert sorted(part.level for part in line.above) == [1, 2, 3]
    ends = [end for part in line.above for end in (part.start, part.end)]
    assert len(set(ends)) == 6


class TestSeveralLines:
    ARCS: ClassVar = [Arc(0, 59, "long"), Arc(5, 6, "x"), Arc(58, 3, "y", is_above=False)]

    def test_a_long_sentence_goes_on_on_the_next_line(self):
        lines = lay_out([50] * 60, self.ARCS, 600)
        assert max(line.width for line in lines) <= 600
        assert len(lines) < 60 * (50 + 14) / 600 + 2
        firsts = [line.first for line in lines]
        assert firsts[0] == 0 and firsts == sorted(firsts)
        assert sum(len(line.centers) for line in lines) == 60

    def test_an_arc_over_several_lines_is_on_the_first_and_the_last_with_its_label(self):
        lines = lay_out([50] * 60, self.ARCS, 600)
        assert len(lines) > 2
        parts = [[part for part in line.above if part.arc == 0] for line in lines]
        assert [len(found) for found in parts] == [1] + [0] * (len(lines) - 2) + [1]
        (first,), (last,) = parts[0], parts[-1]
        assert (first.has_start, first.has_end, last.has_start, last.has_end) == (True, False, False, True)
        assert first.label is not None and last.label is not None
        assert (first.has_tip, last.has_tip) == (False, True)
        assert (first.end, last.start) == (lines[0].width, 0)
        below = [part for line in lines for part in line.below]
        assert below[0].has_tip and not any(part.has_tip for part in below[1:])

    def test_a_word_that_is_too_wide_has_a_line_of_its_own(self):
        assert [line.first for line in lay_out([50, 900, 50], [], 200)] == [0, 1, 2]

    def test_nothing(self):
        (line,) = lay_out([], [], 200)
        assert line.centers == [] and line.height_above == 0
