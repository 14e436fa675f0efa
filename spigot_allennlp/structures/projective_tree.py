import torch

from spigot_allennlp.nn.eisner import maximum_projective_tree, projective_log_partition, projective_marginals
from spigot_allennlp.nn.projective_hull import project_onto_projective_trees
from spigot_allennlp.structures.single_head import SingleHead
from spigot_allennlp.structures.structure import Structure


@Structure.register("projective_tree")
class ProjectiveTree(Structure):
    """
    Dependency trees in which no two arcs cross, and none passes over ROOT, which stands leftmost. `scores` is
    `(batch_size, length, length)`, indexed `[batch, modifier, head]`; position 0 is ROOT. Row 0, the diagonal and
    padding are ignored. The cheap relaxation is that of [the SPIGOT paper](https://aclanthology.org/P18-1173/): each
    token has one head in all, and neither cycles nor crossings are excluded.

    Registered as a `Structure` with name "projective_tree". For the algorithms see
    [`nn/eisner.py`](../nn/eisner.md).

    # Parameters

    single_root : `bool`, optional (default = `False`)
        Whether exactly one token hangs from ROOT, as [Universal Dependencies](https://universaldependencies.org) ask.
    """

    def __init__(self, single_root: bool = False) -> None:
        self.single_root = single_root
        self._relaxation = SingleHead()

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return maximum_projective_tree(scores, mask, self.single_root)

    def log_partition(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return projective_log_partition(scores, mask, self.single_root)

    def marginals(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return projective_marginals(scores, mask, self.single_root)

    def project(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return project_onto_projective_trees(point, mask, self.single_root)

    def project_local(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return self._relaxation.project_local(point, mask)

    def parts(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return self._relaxation.parts(scores, mask)
