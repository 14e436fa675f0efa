import torch

from spigot_allennlp.nn.arborescence import arborescence_log_partition, arborescence_marginals, maximum_arborescence
from spigot_allennlp.nn.cuts import project_onto_arborescences
from spigot_allennlp.structures.single_head import SingleHead
from spigot_allennlp.structures.structure import Structure


@Structure.register("nonprojective_tree")
class NonprojectiveTree(Structure):
    """
    Dependency trees, crossing arcs allowed. `scores` is `(batch_size, length, length)`, indexed
    `[batch, modifier, head]`; position 0 is ROOT. Row 0, the diagonal and padding are ignored. The cheap relaxation is
    that of [the SPIGOT paper](https://aclanthology.org/P18-1173/): each token has one head in all, and cycles are not
    excluded.

    Registered as a `Structure` with name "nonprojective_tree". For the algorithms see
    [`nn/arborescence.py`](../nn/arborescence.md).

    # Parameters

    single_root : `bool`, optional (default = `False`)
        Whether exactly one token hangs from ROOT, as [Universal Dependencies](https://universaldependencies.org) ask.
    """

    def __init__(self, single_root: bool = False) -> None:
        self.single_root = single_root
        self._relaxation = SingleHead()

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return maximum_arborescence(scores, mask, self.single_root)

    def log_partition(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return arborescence_log_partition(scores, mask, self.single_root)

    def marginals(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return arborescence_marginals(scores, mask, self.single_root)

    def project(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return project_onto_arborescences(point, mask, self.single_root)

    def project_local(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return self._relaxation.project_local(point, mask)

    def parts(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return self._relaxation.parts(scores, mask)
