import torch

from spigot_allennlp.nn.arcs import arc_mask, check_arc_shapes
from spigot_allennlp.nn.simplex import project_onto_simplex
from spigot_allennlp.structures.structure import Structure


class Heads(Structure):
    """
    What structures share in which every token has one head. `scores` is `(batch, length, length)`, indexed
    `[b, modifier, head]`; position 0 is ROOT. Row 0, the diagonal and padding are ignored. Not registered.

    The cheap relaxation is that of [the SPIGOT paper](https://aclanthology.org/P18-1173/): each token has one head in
    all, shared out among several, and whatever else makes a structure is left out.
    """

    cells = "heads"

    def project_local(self, point: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """A projection onto the simplex for each token."""
        return project_onto_simplex(point, self.parts(point, mask))

    def parts(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        check_arc_shapes(scores, mask)
        return arc_mask(mask)


class DependencyTree(Heads):
    """
    What the two kinds of dependency trees share. Not registered.

    # Parameters

    single_root : `bool`, optional (default = `False`)
        Whether exactly one token hangs from ROOT, as [Universal Dependencies](https://universaldependencies.org) ask.
    """

    def __init__(self, single_root: bool = False) -> None:
        self.single_root = single_root
