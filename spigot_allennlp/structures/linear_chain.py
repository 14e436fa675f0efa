import torch

from spigot_allennlp.nn.chain_hull import project_onto_sequences
from spigot_allennlp.nn.linear_chain import best_label_sequence, chain_log_partition, chain_marginals, chain_parts
from spigot_allennlp.nn.simplex import project_onto_simplex
from spigot_allennlp.structures.structure import Structure


@Structure.register("linear_chain")
class LinearChain(Structure):
    """
    A label for every token, scored together with the label before it. `scores` is `(batch, length, labels, labels)`,
    indexed `[b, position, previous, current]`. There is no ROOT: the first token's cells are those with `previous` 0,
    and its others are ignored in inputs and 0 in outputs, as padding is. To have the labels alone, sum a structure over
    `previous`.

    Registered as a `Structure` with name "linear_chain". For the algorithms see
    [`nn/linear_chain.py`](../nn/linear_chain.md).
    """

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return best_label_sequence(scores, mask)

    def log_partition(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return chain_log_partition(scores, mask)

    def marginals(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return chain_marginals(scores, mask)

    def project(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return project_onto_sequences(point, mask)

    def project_local(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        """One pair of labels per token, whether or not it agrees with the pair of the token before."""
        parts = chain_parts(point, mask)
        return project_onto_simplex(point.flatten(2), parts.flatten(2)).view(point.shape)

    def parts(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return chain_parts(scores, mask)
