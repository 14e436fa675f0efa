"""Pictures of the structures that stand between the stages of a pipeline."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from allennlp.data import Instance
from allennlp.models import Model

from spigot_allennlp.drawing import CHANGES, Side, draw, stack
from spigot_allennlp.drawing.layout import SMALL_SIZE, WORD_SIZE
from spigot_allennlp.drawing.picture import Picture as PlacedPicture
from spigot_allennlp.drawing.picture import Text, place
from spigot_allennlp.drawing.side import Arc
from spigot_allennlp.training.latent import Cells, Latent, find_layer

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

_DPI = 96
_MAX_WIDTH = 1200  # of pictures, before a sentence goes on on the next line


class Picture(NamedTuple):
    """
    What is drawn of one sentence, in 1-based positions: arcs, and the tokens below ROOT.

    tokens : `Sequence[str]`
    mark : `str`
        What tokens below ROOT are called.
    arcs : `list[tuple[int, int, str]]`
    tops : `list[int]`
    arcs_before, tops_before : the same, optional
        What was chosen earlier: what is new and what is gone is coloured and dashed.
    """

    tokens: Sequence[str]
    mark: str
    arcs: list[Arc]
    tops: list[int]
    arcs_before: list[Arc] | None
    tops_before: list[int] | None


def latent_pictures(
    model: Model, instances: Sequence[Instance], now: Sequence[Latent], before: Sequence[Cells] | None = None
) -> list[Picture]:
    """
    What is to be drawn of the trees or graphs of sentences; nothing of other structures, and of instances whose
    `metadata` has no `tokens`.

    # Parameters

    model : `Model`
        Whose vocabulary has the labels of graphs.
    instances : `Sequence[Instance]`
        The sentences; of `now` and `before`, so many of the first are drawn.
    now : `Sequence[Latent]`
    before : `Sequence[frozenset[tuple[int, ...]]]`, optional
        What was chosen for them earlier.
    """
    kind = find_layer(model).structure.cells
    read = {"heads": _heads, "labelled arcs": _labelled_arcs}.get(kind)
    if read is None or any("tokens" not in getattr(one.fields.get("metadata"), "metadata", {}) for one in instances):
        return []
    pictures = []
    for i, instance in enumerate(instances):
        earlier = (None, None) if before is None else read(model, before[i])
        tokens = instance["metadata"].metadata["tokens"]
        pictures.append(Picture(tokens, "root" if kind == "heads" else "top", *read(model, now[i].cells), *earlier))
    return pictures


def as_svg(pictures: Sequence[Picture]) -> str:
    """The pictures below each other, as an SVG document."""
    return stack([draw(one.tokens, _side(one), meanings=CHANGES, max_width=_MAX_WIDTH) for one in pictures])


def as_image(pictures: Sequence[Picture]) -> "np.ndarray":
    """
    The pictures below each other, as TensorBoard takes them: `(height, width, 3)` uint8, red, green, blue.

    # Raises

    `ImportError` without matplotlib.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    placed = [place(one.tokens, _side(one), max_width=_MAX_WIDTH) for one in pictures]
    width, height = max(one.width for one in placed), sum(one.height for one in placed)
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    top = 0.0
    for one in placed:
        _plot(axes, one, top)
        top += one.height
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # matplotlib's font has not all scripts, and draws boxes for the others.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _side(picture: Picture) -> Side:
    return Side(picture.arcs, picture.tops, picture.mark, picture.arcs_before, picture.tops_before)


def _plot(axes: "Axes", picture: PlacedPicture, top: float) -> None:
    """The shapes of a picture, below `top`."""
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    codes = {"M": [Path.MOVETO], "L": [Path.LINETO], "Q": [Path.CURVE3, Path.CURVE3]}

    def write(text: Text, size: float) -> None:
        # Words are no formulas, whatever signs they have.
        place = {"ha": "center", "va": "baseline", "parse_math": False}
        axes.text(text.x, top + text.y, text.text, fontsize=size * 72 / _DPI, **place)

    for word in picture.words:
        write(word.form, WORD_SIZE)
        for mark in word.marks:
            write(mark, SMALL_SIZE)
    for shape in picture.arcs:
        color, dashes = shape.arc.color.replace("currentColor", "black"), shape.arc.kind.dashes
        style = "solid" if dashes == "none" else (0, tuple(map(float, dashes.split())))
        points = [(x, top + y) for _, corners in shape.path for x, y in corners]
        path = Path(points, [code for command, _ in shape.path for code in codes[command]])
        axes.add_patch(PathPatch(path, fill=False, edgecolor=color, linestyle=style))
        if shape.tip:
            axes.add_patch(Polygon([(x, top + y) for x, y in shape.tip], color=color))
        if shape.label is not None:
            write(shape.label, SMALL_SIZE)


def _heads(model: Model, cells: Cells) -> tuple[list[Arc], list[int]]:
    arcs = [(head, modifier, "") for modifier, head in sorted(cells) if head]
    return arcs, [modifier for modifier, head in sorted(cells) if not head]


def _labelled_arcs(model: Model, cells: Cells) -> tuple[list[Arc], list[int]]:
    labels = model.vocab.get_index_to_token_vocabulary("graph_labels")
    # What is at argument 0 says that a predicate is on.
    arcs = [(p, a, labels[label]) for p, a, label in sorted(cells) if p and a]
    return arcs, [a for p, a, _ in sorted(cells) if not p and a]
