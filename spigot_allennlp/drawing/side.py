"""What a picture shows on one side of the words: a tree, a graph, or how two of them differ."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from spigot_allennlp.drawing.kinds import (
    BOTH,
    MISSED,
    POSSIBLE,
    Kind,
    check_lengths,
    check_positions,
    color_of,
    kinds,
)

Arc = tuple[int, int, str]


class DrawnArc(NamedTuple):
    """
    An arc, and how it is drawn.

    # Parameters

    source, target : `int`
        1-based positions.
    label : `str`
    kind : `Kind`
    color : `str`
    weight : `float`, optional
        How probable it is, or how much of it is there, in [0, 1]; `None` where that is not known.
    """

    source: int
    target: int
    label: str
    kind: Kind
    color: str
    weight: float | None = None


@dataclass
class Side:
    """
    The arcs above the words of a sentence, or below them.

    # Parameters

    arcs : `Sequence[tuple[int, int, str]]`
        (source, target, label) of each, in 1-based positions.
    marked : `Collection[int]`, optional (default = `()`)
        Words that are marked: those below ROOT, or the tops.
    mark : `str`, optional (default = `"top"`)
        What is written below them.
    gold_arcs, gold_marked : optional (default = `None`)
        What these should be. Differences are coloured, dashed and signed.
    weights : `Sequence[float]`, optional (default = `None`)
        How probable each arc is, or how much of it is there, in [0, 1]: what is less is paler.
    possible : `Sequence[tuple[int, int, str]]`, optional (default = `()`)
        Arcs that were not chosen and are drawn all the same, grey and dotted.
    possible_weights : `Sequence[float]`, optional (default = `None`)
    hides_missed : `bool`, optional (default = `False`)
        Whether what is gold alone is left out.

    # Raises

    `ValueError` for lists of different lengths, weights out of [0, 1], and arcs from a token to itself.
    """

    arcs: Sequence[Arc]
    marked: Collection[int] = ()
    mark: str = "top"
    gold_arcs: Iterable[Arc] | None = None
    gold_marked: Collection[int] | None = None
    weights: Sequence[float] | None = None
    possible: Sequence[Arc] = ()
    possible_weights: Sequence[float] | None = None
    hides_missed: bool = False

    def __post_init__(self) -> None:
        self.arcs = [tuple(arc) for arc in self.arcs]
        self.possible = [tuple(arc) for arc in self.possible]
        if self.gold_arcs is not None:
            self.gold_arcs = [tuple(arc) for arc in self.gold_arcs]
        check_lengths([self.arcs, self.weights])
        check_lengths([self.possible, self.possible_weights])
        for weight in [*(self.weights or ()), *(self.possible_weights or ())]:
            if not 0 <= weight <= 1 + 1e-4:  # which a sum of floats may be
                raise ValueError(f"Expected weights from 0 to 1, found {weight}")
        for source, target, _ in [*self.arcs, *self.possible, *(self.gold_arcs or ())]:
            if source == target:
                raise ValueError(f"Expected arcs between two tokens, found one from {source} to itself")

    @property
    def has_gold(self) -> bool:
        return self.gold_arcs is not None

    def drawn_arcs(self) -> Iterator[DrawnArc]:
        """The arcs that are drawn, each once."""
        weights = dict(zip(self.arcs, self.weights, strict=True)) if self.weights is not None else {}
        for arc, kind in self._kinds(self.arcs, self.gold_arcs).items():
            source, target, label = arc
            color = color_of(label) if kind is BOTH and not self.has_gold else kind.color
            yield DrawnArc(source, target, kind.prefix + label, kind, color, weights.get(arc))
        for (source, target, label), weight in zip(
            self.possible, self.possible_weights or [None] * len(self.possible), strict=True
        ):
            yield DrawnArc(source, target, label, POSSIBLE, POSSIBLE.color, weight)

    def marks(self) -> dict[int, Kind]:
        """The words that are marked."""
        return self._kinds(self.marked, self.gold_marked)

    def check(self, num_tokens: int) -> None:
        """Raises a `ValueError` for positions that a sentence of this length does not have."""
        arcs = [*self.arcs, *(self.gold_arcs or ()), *self.possible]
        ends = [end for arc in arcs for end in arc[:2]]
        check_positions([*ends, *self.marked, *(self.gold_marked or ())], num_tokens)

    def _kinds(self, predicted: Iterable, gold: Iterable | None) -> dict:
        found = kinds(predicted, gold)
        return {item: kind for item, kind in found.items() if not (self.hides_missed and kind is MISSED)}


def tree_side(
    heads: Sequence[int],
    head_tags: Sequence[str] | None = None,
    gold_heads: Sequence[int] | None = None,
    gold_tags: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
) -> Side:
    """
    A dependency tree. The tokens whose head is ROOT are marked `root`.

    # Parameters

    heads : `Sequence[int]`
        The head of each token, a 1-based position or 0 for ROOT.
    head_tags : `Sequence[str]`, optional (default = `None`)
        The label of each arc.
    gold_heads, gold_tags : `Sequence`, optional (default = `None`)
        What these should be. Labels are compared where both have some.
    weights : `Sequence[float]`, optional (default = `None`)
        How probable each arc is.

    # Raises

    `ValueError` for lists of different lengths, and for arcs from a token to itself.
    """
    check_lengths([heads, head_tags, gold_heads, gold_tags, weights])
    arcs, marked = _split(heads, head_tags)
    if weights is not None:
        weights = [weight for head, weight in zip(heads, weights, strict=True) if head != 0]
    gold_arcs = gold_marked = None
    if gold_heads is not None:
        if head_tags is None or gold_tags is None:
            # Then labels are not compared.
            labels = head_tags or [""] * len(heads)
            gold_tags = [
                label if head == gold else "" for label, head, gold in zip(labels, heads, gold_heads, strict=True)
            ]
        gold_arcs, gold_marked = _split(gold_heads, gold_tags)
    return Side(arcs, marked, "root", gold_arcs, gold_marked, weights)


def _split(heads: Sequence[int], labels: Sequence[str] | None) -> tuple[list[Arc], list[int]]:
    """The arcs between tokens, and the tokens below ROOT."""
    labels = [""] * len(heads) if labels is None else labels
    pairs = list(enumerate(zip(heads, labels, strict=True), start=1))
    arcs = [(head, modifier, label) for modifier, (head, label) in pairs if head != 0]
    return arcs, [modifier for modifier, (head, _) in pairs if head == 0]
