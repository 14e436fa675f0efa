"""Pictures of the structures that stand between the stages of a pipeline."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from allennlp.data import Instance
from allennlp.models import Model

from spigot_allennlp.drawing import draw_graph, stack
from spigot_allennlp.drawing.arcs import CHANGES, Arc, Kind, kinds
from spigot_allennlp.training.latent import Cells, Latent, find_layer

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes


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
    return stack(
        [
            draw_graph(one.tokens, one.arcs, one.tops, one.arcs_before, one.tops_before, one.mark, CHANGES)
            for one in pictures
        ]
    )


def as_image(pictures: Sequence[Picture]) -> "np.ndarray":
    """
    The pictures below each other, as TensorBoard takes them: `(height, width, 3)` uint8, red, green, blue.

    # Raises

    `ImportError` without matplotlib.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = max(len(one.tokens) for one in pictures)
    figure = Figure(figsize=(max(4, 0.9 * width), 3 * len(pictures)), dpi=80, layout="constrained")
    for axes, one in zip(figure.subplots(len(pictures), squeeze=False)[:, 0], pictures, strict=True):
        _plot(axes, one)
        axes.set(xlim=(0.4, width + 0.6))
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # matplotlib's font has not all scripts, and draws boxes for the others.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _plot(axes: "Axes", picture: Picture) -> None:
    """Words on a line, and arcs above it, higher where they are longer."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    tops = kinds(picture.tops, picture.tops_before)
    for position, token in enumerate(picture.tokens, start=1):
        kind = tops.get(position)
        text = token if kind is None else f"{token}\n{kind.prefix}{picture.mark}"
        color = "black" if kind is None else _color(kind)
        # Words are no formulas, whatever signs they have.
        axes.text(position, -0.1, text, ha="center", va="top", fontsize=9, color=color, parse_math=False)
    highest = 1.0
    for (source, target, label), kind in kinds(picture.arcs, picture.arcs_before).items():
        # What is gone may have joined the same words as what is new.
        height = abs(source - target) ** 0.7 * (1 if (source, target, label) in picture.arcs else 1.2)
        highest = max(highest, height)
        # A cubic curve whose middle has that height.
        corners = [(source, 0), (source, height * 4 / 3), (target, height * 4 / 3), (target, 0)]
        path = Path(corners, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
        color, style = _color(kind), "solid" if kind.dashes == "none" else "dashed"
        arrow = {"arrowstyle": "-|>", "mutation_scale": 10, "color": color, "linestyle": style, "fill": False}
        axes.add_patch(FancyArrowPatch(path=path, **arrow))
        text = kind.prefix + label
        axes.text(
            (source + target) / 2, height, text, ha="center", va="bottom", fontsize=7, color=color, parse_math=False
        )
    axes.set(ylim=(-1, highest + 0.5))
    axes.axis("off")


def _color(kind: Kind) -> str:
    return "black" if kind.color == "currentColor" else kind.color


def _heads(model: Model, cells: Cells) -> tuple[list[Arc], list[int]]:
    arcs = [(head, modifier, "") for modifier, head in sorted(cells) if head]
    return arcs, [modifier for modifier, head in sorted(cells) if not head]


def _labelled_arcs(model: Model, cells: Cells) -> tuple[list[Arc], list[int]]:
    labels = model.vocab.get_index_to_token_vocabulary("graph_labels")
    # What is at argument 0 says that a predicate is on.
    arcs = [(p, a, labels[label]) for p, a, label in sorted(cells) if p and a]
    return arcs, [a for p, a, _ in sorted(cells) if not p and a]
