"""How far the structures of several runs, and gold ones, are the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from spigot_allennlp.training.latent import agreement

Parts = frozenset[tuple[Any, ...]]
KINDS = ("tree", "graph", "selection")


def parts_of(kind: str, sentence: Mapping[str, Any]) -> Parts | None:
    """
    The parts of what is predicted or gold of a sentence; `None`, if there is nothing of that kind.

    # Parameters

    kind : `str`
        One of `KINDS`.
    sentence : `Mapping[str, Any]`
        As an [`Evaluation`](./evaluation.md#evaluation) has it.
    """
    if kind == "graph":
        if "arcs" not in sentence:
            return None
        return frozenset(map(tuple, sentence["arcs"])) | {(0, top, "") for top in sentence["tops"]}
    name = {"tree": "heads", "selection": "selected"}[kind]
    if name not in sentence:
        return None
    found = []
    for text, chosen in enumerate((sentence[name], sentence.get(f"hypothesis_{name}", []))):
        pairs = enumerate(chosen, start=1) if kind == "tree" else ((position,) for position in chosen)
        found += [(text, *part) for part in pairs if None not in part]
    return frozenset(found)


def agreement_with_gold(predicted: Sequence[Parts | None], gold: Sequence[Parts | None], kind: str) -> float | None:
    """
    The F1 of the parts of predicted structures with gold ones, over the sentences that have both: of trees the share of
    the tokens that have a gold head whose head is right. `None`, if no sentence has both.
    """
    pairs = [(one, other) for one, other in zip(predicted, gold, strict=True) if None not in (one, other)]
    if kind == "tree":
        pairs = [(_of_same_tokens(one, other), other) for one, other in pairs]
    return agreement(*zip(*pairs, strict=True)) if any(other for _, other in pairs) else None


def agreement_of_runs(
    some: Sequence[Sequence[Parts | None]], others: Sequence[Sequence[Parts | None]] | None = None
) -> float | None:
    """
    The F1 of the parts that runs choose with those that other runs choose, the mean over pairs of runs. It is 1 less
    the share of parts that change from the one to the other.

    # Parameters

    some, others : `Sequence[Sequence[frozenset]]`
        Of each run, for each sentence. Without `others`, the pairs are of two different runs among `some`.

    # Returns

    `None`, if there is no pair of runs, or no sentence with structures.
    """
    if others is None:
        pairs = [(one, other) for i, one in enumerate(some) for other in some[:i]]
    else:
        pairs = [(one, other) for one in some for other in others]
    found = []
    for one, other in pairs:
        both = [(a, b) for a, b in zip(one, other, strict=True) if None not in (a, b)]
        if both:
            found.append(agreement(*zip(*both, strict=True)))
    return sum(found) / len(found) if found else None


def _of_same_tokens(predicted: Parts, gold: Parts) -> Parts:
    tokens = {part[:2] for part in gold}
    return frozenset(part for part in predicted if part[:2] in tokens)
