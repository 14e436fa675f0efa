from collections.abc import Iterator

import numpy as np

from spigot_allennlp.nn.arcs import arc_mask, check_arc_shapes
from spigot_allennlp.nn.linear_rules import LinearRules, cell_numbers
from spigot_allennlp.nn.shapes import Bool, Float, Mask, Tensor
from spigot_allennlp.nn.simplex import project_onto_simplex
from spigot_allennlp.structures.structure import Structure

Scores = Float[Tensor, "batch length length"]
Parts = Bool[Tensor, "batch length length"]
Samples = Float[Tensor, "samples batch length length"]
Best = Float[Tensor, "k batch length length"]


class Heads(Structure):
    """
    What structures share in which every token has one head. `scores` is `(batch, length, length)`, indexed
    `[b, modifier, head]`; position 0 is ROOT. Row 0, the diagonal and padding are ignored. Not registered.

    The cheap relaxation is that of [the SPIGOT paper](https://aclanthology.org/P18-1173/): each token has one head in
    all, shared out among several, and whatever else makes a structure is left out.
    """

    cells = "heads"

    def project_local(self, point: Scores, mask: Mask) -> Scores:
        """A projection onto the simplex for each token."""
        return project_onto_simplex(point, self.parts(point, mask))

    def parts(self, scores: Scores, mask: Mask) -> Parts:
        check_arc_shapes(scores, mask)
        return arc_mask(mask)

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """One head for every token."""
        rules = LinearRules()
        for heads, are_parts in zip(cell_numbers(parts), parts, strict=True):
            if are_parts.any():
                rules.add(heads[are_parts], lower=1, upper=1)
        return rules


class DependencyTree(Heads):
    """
    What the two kinds of dependency trees share. Not registered.

    # Parameters

    single_root : `bool`, optional (default = `False`)
        Whether exactly one token hangs from ROOT, as [Universal Dependencies](https://universaldependencies.org) ask.
    """

    def __init__(self, single_root: bool = False) -> None:
        self.single_root = single_root

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        rules = super().linear_rules(parts)
        if self.single_root and parts.any():
            rules.add(cell_numbers(parts)[parts[:, 0], 0], lower=1, upper=1)
        return rules

    def cuts(self, z: np.ndarray, parts: np.ndarray) -> LinearRules:
        """Of the tokens of a cycle, one at least has its head outside of it."""
        rules = LinearRules()
        cells = cell_numbers(parts)
        for cycle in _cycles(z):
            among = np.ix_(cycle, cycle)
            rules.add(cells[among][parts[among]], upper=len(cycle) - 1)
        return rules


def _cycles(z: np.ndarray) -> Iterator[list[int]]:
    """The tokens of each cycle, where every token has one head, and ROOT, at position 0, none."""
    heads = z.argmax(1)
    seen = np.zeros(len(heads), np.int64)
    for start in range(1, len(heads)):
        position = start
        while position > 0 and not seen[position]:
            seen[position] = start
            position = heads[position]
        if position > 0 and seen[position] == start:
            cycle = [position]
            while heads[cycle[-1]] != position:
                cycle.append(heads[cycle[-1]])
            yield cycle
