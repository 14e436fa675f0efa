"""In what a prediction differs from gold: its errors, by their kind, and the figures of a whole file."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

KINDS = ("wrong head", "wrong label of a head", "missing arc", "spurious arc", "wrong label of an arc", "wrong top")
"""The kinds of errors."""


class Error(NamedTuple):
    """
    # Parameters

    kind : `str`
        One of `KINDS`.
    text : `str`
        What was predicted and what is gold, in words.
    """

    kind: str
    text: str


def find_errors(output: Mapping[str, Any], gold: Mapping[str, Any]) -> list[Error]:
    """
    The errors of an output. Both are JSON objects of the form of predictions, see [`exchange`](../data/exchange.md);
    what only one of them has is not compared.
    """
    return [*_tree_errors(output, gold), *_graph_errors(output, gold)]


class Tally:
    """The figures of all sentences of a file."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, output: Mapping[str, Any], gold: Mapping[str, Any]) -> None:
        """Counts a sentence."""
        count = self._counts
        if "heads" in output and "heads" in gold:
            right = [one == other for one, other in zip(output["heads"], gold["heads"], strict=True)]
            count["tokens"] += len(right)
            count["heads"] += sum(right)
            if "head_tags" in output and "head_tags" in gold:
                pairs = zip(right, output["head_tags"], gold["head_tags"], strict=True)
                count["with label"] += len(right)
                count["labelled"] += sum(is_right and one == other for is_right, one, other in pairs)
        if "arcs" in output and "arcs" in gold:
            predicted, expected = _cells(output), _cells(gold)
            count["predicted"] += len(predicted)
            count["gold"] += len(expected)
            count["arcs"] += len(predicted.keys() & expected.keys())
            count["labelled arcs"] += len(predicted.items() & expected.items())

    def figures(self) -> dict[str, float]:
        """`UAS`, `LAS`, and `labelled F1` and `unlabelled F1` with tops, in [0, 1]: those that there is a count for."""
        count = self._counts
        found = {}
        if count["tokens"]:
            found["UAS"] = count["heads"] / count["tokens"]
        if count["with label"]:
            found["LAS"] = count["labelled"] / count["with label"]
        if count["predicted"] + count["gold"]:
            both = count["predicted"] + count["gold"]
            found["labelled F1"] = 2 * count["labelled arcs"] / both
            found["unlabelled F1"] = 2 * count["arcs"] / both
        return found


def _tree_errors(output: Mapping[str, Any], gold: Mapping[str, Any]) -> Iterator[Error]:
    if "heads" not in output or "heads" not in gold:
        return
    word = ["ROOT", *output["tokens"]]
    none = [None] * len(output["heads"])
    labels = output.get("head_tags", none), gold.get("head_tags", none)
    pairs = zip(output["heads"], gold["heads"], *labels, strict=True)
    for token, (head, gold_head, label, gold_label) in enumerate(pairs, start=1):
        if head != gold_head:
            yield Error("wrong head", f"{word[token]}: {word[head]}, gold {word[gold_head]}")
        elif label != gold_label and None not in (label, gold_label):
            yield Error("wrong label of a head", f"{word[token]}: {label} of {word[head]}, gold {gold_label}")


def _graph_errors(output: Mapping[str, Any], gold: Mapping[str, Any]) -> Iterator[Error]:
    if "arcs" not in output or "arcs" not in gold:
        return
    word = ["ROOT", *output["tokens"]]
    predicted, expected = _cells(output), _cells(gold)
    for predicate, argument in sorted(predicted.keys() | expected.keys()):
        found, wanted = predicted.get((predicate, argument)), expected.get((predicate, argument))
        where = f"{word[argument]} of {word[predicate]}"
        if found == wanted:
            continue
        if predicate == 0:
            yield Error("wrong top", f"{word[argument]}, {'gold' if found is None else 'not gold'}")
        elif found is None:
            yield Error("missing arc", f"{wanted} {where}")
        elif wanted is None:
            yield Error("spurious arc", f"{found} {where}")
        else:
            yield Error("wrong label of an arc", f"{found} {where}, gold {wanted}")


def _cells(content: Mapping[str, Any]) -> dict[tuple[int, int], str]:
    """The label of each arc, by predicate and argument; tops are arcs from 0."""
    arcs = {(predicate, argument): label for predicate, argument, label in content["arcs"]}
    return arcs | {(0, top): "top" for top in content.get("tops", ())}
