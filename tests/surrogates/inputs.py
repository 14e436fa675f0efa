"""Small inputs of every kind of structure, for tests of what surrogates have of their own."""

import torch

from spigot_allennlp.structures import (
    KSubset,
    LinearChain,
    NonprojectiveTree,
    ProjectiveTree,
    SemanticGraph,
    SingleHead,
    Structure,
)

STRUCTURES: dict[str, Structure] = {
    "single_head": SingleHead(),
    "nonprojective_tree": NonprojectiveTree(single_root=True),
    "projective_tree": ProjectiveTree(),
    "linear_chain": LinearChain(),
    "k_subset": KSubset(2),
    "semantic_graph": SemanticGraph(predicates=True),
}
# The axes of one sentence's scores.
AXES = {"linear_chain": (5, 3, 3), "k_subset": (5,), "semantic_graph": (5, 5, 2)}
MASK = torch.arange(5) < torch.tensor([[5], [1], [3], [4]])


def random(name: str, seed: int = 0) -> torch.Tensor:
    """`(4, ...)` float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, *AXES.get(name, (5, 5)), generator=generator, dtype=torch.double)


def forbidding(name: str) -> torch.Tensor:
    """As `random`, but -inf forbids the best cell of a position."""
    scores = random(name)
    row = scores[0, 3]  # a view
    row[row == row[parts(name)[0, 3]].max()] = -torch.inf
    return scores


def parts(name: str) -> torch.Tensor:
    return STRUCTURES[name].parts(random(name), MASK)


def norms(values: torch.Tensor) -> torch.Tensor:
    """The Euclidean norm of each sentence, `(batch, 1, ...)`."""
    return values.flatten(1).square().sum(1).sqrt().view(-1, *[1] * (values.dim() - 1))


def pull(
    layer: torch.nn.Module, scores: torch.Tensor, d_z: torch.Tensor, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """What goes forward, and what comes back for `d_z`, where the same noise falls each time."""
    torch.manual_seed(seed)
    scores = scores.detach().requires_grad_()
    z = layer(scores, MASK)
    return z.detach(), torch.autograd.grad(z, scores, d_z)[0]
