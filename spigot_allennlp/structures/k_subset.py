import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.nn.k_subset import (
    best_k_subset,
    k_subset_log_partition,
    k_subset_marginals,
    project_onto_k_subsets,
)
from spigot_allennlp.structures.structure import Structure


@Structure.register("k_subset")
class KSubset(Structure):
    """
    `k` positions of a sentence, or all where it has fewer. `scores` is `(batch, length)`. There is no ROOT: every
    position that the mask allows may be chosen.

    Registered as a `Structure` with name "k_subset". For the algorithms see [`nn/k_subset.py`](../nn/k_subset.md).

    # Parameters

    k : `int`
        How many positions to choose, positive.
    """

    def __init__(self, k: int) -> None:
        if k < 1:
            raise ConfigurationError(f"k must be positive, but is {k}")
        self.k = k

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return best_k_subset(scores, mask, self.k)

    def log_partition(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return k_subset_log_partition(scores, mask, self.k)

    def marginals(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return k_subset_marginals(scores, mask, self.k)

    def project(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        """The nearest point of `conv(Z)`, in closed form."""
        return project_onto_k_subsets(point, mask, self.k)

    def project_local(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        """The same as `project`, which is cheap enough."""
        return project_onto_k_subsets(point, mask, self.k)

    def parts(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return mask
