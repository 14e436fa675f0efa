"""Partial trees in a file, of which the heads that are there are kept."""

from allennlp.data import Instance

from spigot_allennlp.data.fields import ForbiddenArcs


def with_known_heads(batch: list[Instance], predicts_trees: bool) -> list[Instance]:
    """
    A batch where the heads of partial trees are kept, if trees are predicted; with the same fields for all sentences.
    """
    for instance in batch if predicts_trees else ():
        tree, num_tokens = instance.fields.get("tree"), len(instance["tokens"]) - 1
        if tree is not None and 0 < len(tree.indices) < num_tokens and "forbidden_arcs" not in instance.fields:
            heads = dict(tree.indices)
            arcs = ForbiddenArcs(num_tokens, [heads.get(position + 1) for position in range(num_tokens)])
            instance.add_field("forbidden_arcs", arcs)
    if any("forbidden_arcs" in instance.fields for instance in batch):
        for instance in batch:
            if "forbidden_arcs" not in instance.fields:
                instance.add_field("forbidden_arcs", ForbiddenArcs(len(instance["tokens"]) - 1))
    return batch
