import numpy as np

from spigot_allennlp.drawing.kinds import KINDS, color_of
from spigot_allennlp.training.pictures import Picture, as_image, as_svg

TOKENS = ["Anna", "$ings_{1}$", "歌", "."]
ARCS = [(2, 1, "ARG0"), (2, 3, "ARG1"), (2, 4, "")]


def colors(image: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, image.reshape(-1, 3).tolist()))


def test_image_has_colours_for_what_is_new_and_what_is_gone():
    first = as_image([Picture(TOKENS, "root", ARCS, [2], None, None)])
    assert first.dtype == np.uint8 and first.ndim == 3
    new, gone = ({tuple(bytes.fromhex(kind.color[1:]))} for kind in KINDS[1:])
    assert not colors(first) & (new | gone)
    assert tuple(bytes.fromhex(color_of("ARG0")[1:])) in colors(first)
    changed = as_image([Picture(TOKENS, "root", ARCS, [2], [*ARCS[:2], (3, 4, "")], [2])])
    assert new | gone <= colors(changed)


def test_image_has_the_sentences_below_each_other():
    one, other = Picture(TOKENS, "root", ARCS, [2], None, None), Picture(["Wow"], "top", [], [1], None, None)
    heights = [as_image(pictures).shape[0] for pictures in ([one], [other], [one, other])]
    assert abs(heights[0] + heights[1] - heights[2]) <= 1


def test_svg_marks_the_tops():
    assert "root" in as_svg([Picture(TOKENS, "root", ARCS, [2], None, None)])
    assert "top" in as_svg([Picture(TOKENS, "top", ARCS, [2], None, None)])
