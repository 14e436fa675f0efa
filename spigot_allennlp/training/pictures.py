"""Pictures of the structures that stand between the stages of a pipeline."""

from collections.abc import Sequence

from allennlp.data import Instance
from allennlp.models import Model

from spigot_allennlp.drawing import draw_graph, draw_tree, stack
from spigot_allennlp.drawing.arcs import CHANGES
from spigot_allennlp.training.latent import Cells, Latent, find_layer


def draw_latent(
    model: Model, instances: Sequence[Instance], now: Sequence[Latent], before: Sequence[Cells] | None = None
) -> str | None:
    """
    The trees or graphs of sentences below each other, as an SVG document; `None` for other structures, and for
    instances whose `metadata` has no `tokens`.

    # Parameters

    model : `Model`
        Whose vocabulary has the labels of graphs.
    instances : `Sequence[Instance]`
        The sentences; of `now` and `before`, so many of the first are drawn.
    now : `Sequence[Latent]`
    before : `Sequence[frozenset[tuple[int, ...]]]`, optional
        What was chosen for them earlier: what is new and what is gone is coloured and dashed.
    """
    draw = {"heads": _draw_heads, "labelled arcs": _draw_labelled_arcs}.get(find_layer(model).structure.cells)
    if draw is None or any("tokens" not in getattr(one.fields.get("metadata"), "metadata", {}) for one in instances):
        return None
    pictures = []
    for i, instance in enumerate(instances):
        tokens = instance["metadata"].metadata["tokens"]
        pictures.append(draw(model, tokens, now[i].cells, None if before is None else before[i]))
    return stack(pictures)


def _draw_heads(model: Model, tokens: Sequence[str], now: Cells, before: Cells | None) -> str:
    heads = [None if cells is None else [head for _, head in sorted(cells)] for cells in (now, before)]
    return draw_tree(tokens, heads[0], gold_heads=heads[1], meanings=CHANGES)


def _draw_labelled_arcs(model: Model, tokens: Sequence[str], now: Cells, before: Cells | None) -> str:
    labels = model.vocab.get_index_to_token_vocabulary("graph_labels")
    parts = []
    for cells in (now, before):
        # What is at argument 0 says that a predicate is on.
        arcs = None if cells is None else [(p, a, labels[label]) for p, a, label in sorted(cells) if p and a]
        tops = None if cells is None else [a for p, a, _ in sorted(cells) if not p and a]
        parts += [arcs, tops]
    return draw_graph(tokens, *parts, meanings=CHANGES)
