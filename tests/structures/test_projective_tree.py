import math

import pytest
import torch

from spigot_allennlp.structures import ProjectiveTree
from tests.structures.sentences import either_root, full_mask, random_scores


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
