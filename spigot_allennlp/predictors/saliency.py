"""Predictions as gold, for the framework's `allennlp.interpret`: the gradient of their loss tells which words count."""

from typing import Any

from allennlp.data import Instance, Vocabulary

from spigot_allennlp.data.dataset_readers import TOP
from spigot_allennlp.data.fields import ArcField, KnownLabelField


def label_with(instance: Instance, outputs: dict[str, Any], vocab: Vocabulary) -> list[Instance]:
    """
    Copies of an instance to which what a model has predicted is gold.

    # Parameters

    instance : `Instance`
    outputs : `dict[str, Any]`
        What the model has predicted for it.
    vocab : `Vocabulary`
        The model's.

    # Returns

    `list[Instance]`
        Of a sentiment, one instance with the label; of a graph, one with the graph, and the tree that led to it; of a
        tree, one for each token, in their order, with the token's arc alone: the loss is that of this arc.
    """
    if "label" in outputs:
        fields = [{"label": KnownLabelField(outputs["label"])}]
    elif "arcs" in outputs:
        fields = [{"graph": _graph(instance, outputs)}]
        if "heads" in outputs:
            fields[0]["tree"] = _tree(instance, outputs, range(1, len(outputs["heads"]) + 1))
    else:
        fields = [{"tree": _tree(instance, outputs, [token])} for token in range(1, len(outputs["heads"]) + 1)]
    labelled = []
    for gold in fields:
        copy = instance.duplicate()
        for name, field in gold.items():
            copy.add_field(name, field, vocab)
        labelled.append(copy)
    return labelled


def _tree(instance: Instance, outputs: dict[str, Any], tokens: Any) -> ArcField:
    labels = outputs.get("head_tags", ["_"] * len(outputs["heads"]))
    arcs = [(token, outputs["heads"][token - 1]) for token in tokens]
    return ArcField(arcs, instance["tokens"], [labels[token - 1] for token in tokens], label_namespace="head_tags")


def _graph(instance: Instance, outputs: dict[str, Any]) -> ArcField:
    arcs = [(0, top, TOP) for top in outputs["tops"]] + [tuple(arc) for arc in outputs["arcs"]]
    return ArcField(
        [(predicate, argument) for predicate, argument, _ in arcs],
        instance["tokens"],
        [label for _, _, label in arcs],
        label_namespace="graph_labels",
    )
