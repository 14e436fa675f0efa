"""
What the structures of a short sentence are, by enumeration, and everything that follows from a list of them. Imports
nothing from the package under test.
"""

import itertools
from collections.abc import Iterator
from functools import cache

import torch


def is_tree(heads: tuple[int, ...]) -> bool:
    """Whether all of `heads[1:]` lead to position 0, ROOT; `heads[0]` is ignored."""
    for token in range(1, len(heads)):
        position = token
        for _ in heads:
            position = heads[position] if position > 0 else 0
        if position > 0:
            return False
    return True


def is_projective(heads: tuple[int, ...]) -> bool:
    """Whether no two arcs cross, the arcs from ROOT at position 0 included."""
    spans = [sorted((token, heads[token])) for token in range(1, len(heads))]
    return not any(a < c < b < d for (a, b), (c, d) in itertools.product(spans, spans))


def head_assignments(length: int) -> Iterator[tuple[int, ...]]:
    """Every way to give each token another position as its head."""
    choices = ([head for head in range(length) if head != token] for token in range(1, length))
    return ((0, *heads) for heads in itertools.product(*choices))


@cache
def structures(name: str, length: int, single_root: bool = False) -> torch.Tensor:
    """All structures over `length` positions with ROOT: `(structures, length, length)` float64, [modifier, head]."""
    legal = {
        "single_head": lambda heads: True,
        "nonprojective_tree": is_tree,
        "projective_tree": lambda heads: is_tree(heads) and is_projective(heads),
    }[name]
    chosen = [
        heads
        for heads in head_assignments(length)
        if legal(heads) and (not single_root or length == 1 or heads[1:].count(0) == 1)
    ]
    one_hot = torch.nn.functional.one_hot(torch.tensor(chosen), length).double()
    one_hot[:, 0] = 0
    return one_hot


def total_scores(structures: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The score of every structure in every sentence, `(batch, structures)` float64."""
    parts = structures.flatten(1).bool()
    return torch.where(parts, scores.double().flatten(1).unsqueeze(1), 0.0).sum(dim=2)


def best_scores(structures: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return total_scores(structures, scores).max(dim=1).values


def log_partition(structures: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return total_scores(structures, scores).logsumexp(dim=1)


def marginals(structures: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    probabilities = total_scores(structures, scores).softmax(dim=1)
    return torch.einsum("bs,smh->bmh", probabilities, structures)
