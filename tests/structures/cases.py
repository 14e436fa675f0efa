"""The distributions that are tested: structures, and all that there are over one sentence."""

from typing import NamedTuple

import pytest
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
from tests import oracles


class Case(NamedTuple):
    name: str
    structure: Structure
    #: all structures of a sentence, those of the distribution and those of the argmax
    every: torch.Tensor
    legal: torch.Tensor
    num_position_axes: int = 2

    def random(self, seed: int, batch_size: int, length: int | None = None) -> torch.Tensor:
        shape = list(self.every.shape[1:])
        shape[: self.num_position_axes] = [length or shape[0]] * self.num_position_axes
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(batch_size, *shape, generator=generator, dtype=torch.double)

    def forbidding(self, seed: int, batch_size: int, rate: float = 0.3) -> torch.Tensor:
        """Scores of which some are -inf, where that leaves a structure."""
        scores = self.random(seed, batch_size)
        generator = torch.Generator().manual_seed(seed + 1)
        scores[torch.rand(scores.shape, generator=generator) < rate] = -torch.inf
        scores = scores[totals(self.legal, scores).amax(1) > -torch.inf]
        assert len(scores) > 2
        return scores

    def crop(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The cells that one sentence's mask leaves, of `(..., positions, ...)` without a batch axis."""
        first = values.dim() - (self.every.dim() - 1)
        for axis in range(first, first + self.num_position_axes):
            values = values.index_select(axis, mask.nonzero().squeeze(1))
        return values


def trees(kind: type[Structure], name: str, single_root: bool) -> Case:
    every = getattr(oracles, f"{name}s")(5, single_root)
    return Case(name + (", single root" if single_root else ""), kind(single_root), every, every)


def graphs(num_labels: int, deterministic: list[int], predicates: bool = False, top: int | None = None) -> Case:
    settings = {"predicates": predicates, "top_label": top, "deterministic_labels": deterministic}
    name = f"graph, {predicates=}, {top=}, {deterministic=}"
    every = oracles.graphs(3, num_labels, predicates, top)
    legal = oracles.graphs(3, num_labels, predicates, top, tuple(deterministic))
    return Case(name, SemanticGraph(**settings), every, legal)


def simple(structure: Structure, every: torch.Tensor, name: str) -> Case:
    return Case(name, structure, every, every, num_position_axes=1)


CASES = [
    Case("single_head", SingleHead(), *[oracles.single_heads(4)] * 2),
    *(trees(NonprojectiveTree, "nonprojective_tree", single_root) for single_root in (False, True)),
    *(trees(ProjectiveTree, "projective_tree", single_root) for single_root in (False, True)),
    simple(LinearChain(), oracles.label_sequences(4, 3), "linear_chain"),
    simple(KSubset(2), oracles.k_subsets(5, 2), "k_subset"),
    graphs(2, []),
    graphs(2, [0]),
    graphs(2, [0, 1], predicates=True),
    graphs(2, [], predicates=True, top=1),
]
every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
TREES = [case for case in CASES if "tree" in case.name]
every_tree = pytest.mark.parametrize("case", TREES, ids=[case.name for case in TREES])


def totals(structures: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return oracles.total_scores(structures, scores)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def times(probability: torch.Tensor, log: torch.Tensor) -> torch.Tensor:
    return torch.where(probability == 0, 0.0, probability * log)


# What follows from sums
