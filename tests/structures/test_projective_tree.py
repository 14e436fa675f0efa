import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spigot_allennlp.nn.kernels.inside_outside import sum_over_projective_trees
from spigot_allennlp.nn.partition import sum_by_autograd, sum_on_host
from spigot_allennlp.structures import ProjectiveTree
from spigot_allennlp.structures.projective_tree import _sum_in_log_space
from tests import oracles

either_root = pytest.mark.parametrize("single_root", [False, True])


def random_scores(batch_size: int, length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch_size, length, length, generator=generator, dtype=torch.float64)


def full_mask(scores: torch.Tensor) -> torch.Tensor:
    return torch.ones(scores.shape[:2], dtype=torch.bool)


@either_root
@settings(max_examples=200, deadline=None)
@given(cells=st.lists(st.sampled_from([-1e4, -1.0, 0.0, 1.0, 1e4]), min_size=25, max_size=25))
def test_argmax_of_extreme_scores(single_root: bool, cells: list[float]) -> None:
    scores = torch.tensor(cells).view(1, 5, 5)
    z = ProjectiveTree(single_root).argmax(scores, full_mask(scores))
    every = oracles.projective_trees(5, single_root)
    assert (z * scores).double().sum() == oracles.best_scores(every, scores)


@either_root
def test_long_sentences(single_root: bool) -> None:
    # A chain to the right, of which nothing but an arc from ROOT to its far end is in the way.
    length = 400
    scores = random_scores(1, length) * 1e-3
    tokens = torch.arange(1, length)
    scores[0, tokens, tokens - 1] += 1
    scores[0, length - 1, 0] += 0.5
    z = ProjectiveTree(single_root).argmax(scores, full_mask(scores))
    assert z[0, 1:].argmax(1).tolist() == list(range(length - 1))


def test_sums_out_of_the_range_of_a_float() -> None:
    """The number of projective trees of n tokens is `binomial(3n, n) / (2n + 1)`, here about `10 ** 490`."""
    n = 600
    scores = torch.zeros(1, n + 1, n + 1, dtype=torch.float64)
    expected = math.lgamma(3 * n + 1) - math.lgamma(n + 1) - math.lgamma(2 * n + 1) - math.log(2 * n + 1)
    assert ProjectiveTree().log_partition(scores, full_mask(scores)).item() == pytest.approx(expected, rel=1e-12)
    marginals = ProjectiveTree().marginals(scores, full_mask(scores))
    torch.testing.assert_close(marginals.sum(2)[:, 1:], torch.ones(1, n, dtype=torch.float64))


@either_root
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_both_ways_to_sum_agree(single_root: bool, scale: float) -> None:
    scores = random_scores(5, 12) * scale
    scores[4, 3, 5:] = float("-inf")
    mask = torch.arange(12) < torch.tensor([[12], [7], [2], [1], [12]])
    direction = random_scores(5, 12, seed=1)
    compiled = sum_on_host(sum_over_projective_trees, scores, mask, single_root, direction=None)
    by_torch = _sum_in_log_space(scores, mask, single_root)
    for one, other in zip(compiled, by_torch, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-10)
    _, compiled = sum_on_host(sum_over_projective_trees, scores, mask, single_root, direction=direction)
    _, by_torch = sum_by_autograd(_sum_in_log_space, scores, mask, single_root, direction=direction)
    torch.testing.assert_close(compiled, by_torch, rtol=1e-9, atol=1e-8)


@either_root
@pytest.mark.parametrize("scale", [100, 1e4])
def test_sums_over_few_legal_trees_of_extreme_scores(single_root: bool, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = scale * torch.randn(40, 13, 13, generator=generator, dtype=torch.float64)
    forbidden = torch.rand(scores.shape, generator=generator) < 0.8
    forbidden.diagonal(offset=-1, dim1=1, dim2=2).fill_(False)  # each token may follow the one before it
    scores[forbidden] = -torch.inf
    marginals = ProjectiveTree(single_root).marginals(scores, full_mask(scores))
    torch.testing.assert_close(marginals.sum(2)[:, 1:], torch.ones(40, 12, dtype=torch.float64))
    log_z = ProjectiveTree(single_root).log_partition(scores, full_mask(scores))
    trees = ProjectiveTree(single_root).argmax(scores, full_mask(scores))
    best = (trees * scores.masked_fill(forbidden, 0)).sum((1, 2))
    assert (log_z >= best - 1e-9 * best.abs()).all() and (log_z <= best.abs() * 1e-9 + best + 13 * math.log(13)).all()
