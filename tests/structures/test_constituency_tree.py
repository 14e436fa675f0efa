import math

import pytest
import torch

from spigot_allennlp.nn.kernels.constituency_tree import sum_over_binary_trees
from spigot_allennlp.nn.partition import sum_by_autograd, sum_on_host
from spigot_allennlp.structures import ConstituencyTree
from spigot_allennlp.structures.constituency_tree import _sum_in_log_space
from tests import oracles
from tests.structures.samples import assert_samples_follow

STRUCTURE = ConstituencyTree()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def mask_of(*lengths: int) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)


def assert_is_tree(z: torch.Tensor, size: int) -> None:
    """`2 size - 1` labelled spans, none of which cross, the sentence and all tokens among them."""
    spans = z.nonzero()[:, :2].tolist()
    assert len(spans) == 2 * size - 1 == len({tuple(span) for span in spans})
    assert [0, size - 1] in spans and all([i, i] in spans for i in range(size))
    assert not any(a < c <= b < d for a, b in spans for c, d in spans)


@pytest.mark.parametrize("length", [40, 120])
def test_argmax_is_a_tree_and_the_limit_of_the_log_partition(length):
    scores, mask = random(3, length, length, 3), mask_of(length, length - 7, 2)
    z = STRUCTURE.argmax(scores, mask)
    for tree, size in zip(z, mask.sum(1).tolist(), strict=True):
        assert_is_tree(tree, size)
    temperature = 1e-6
    log_z = STRUCTURE.log_partition(scores / temperature, mask) * temperature
    best = (z * scores).sum((1, 2, 3))
    assert (best <= log_z + 1e-9).all() and (log_z <= best + temperature * 6 * length).all()


def test_the_best_tree_of_a_long_sentence():
    """A tree that branches to the right, every span of which is worth something, beside noise."""
    length = 200
    scores = random(1, length, length, 2) * 1e-3
    scores[0, :, -1, 1] += 1
    z = STRUCTURE.argmax(scores, mask_of(length))
    assert z[0, :, -1, 1].all() and z.sum() == 2 * length - 1


def test_the_number_of_trees_of_a_long_sentence():
    """The Catalan number of `n - 1`, times the ways to label `2 n - 1` spans: about `10 ** 400`."""
    n = 400
    scores = torch.zeros(1, n, n, 3, dtype=torch.double)
    log_catalan = math.lgamma(2 * n - 1) - math.lgamma(n) - math.lgamma(n + 1)
    expected = log_catalan + (2 * n - 1) * math.log(3)
    assert STRUCTURE.log_partition(scores, mask_of(n)).item() == pytest.approx(expected, rel=1e-12)
    marginals = STRUCTURE.marginals(scores, mask_of(n))[0]
    assert marginals.sum().item() == pytest.approx(2 * n - 1)
    torch.testing.assert_close(marginals.sum(2).diagonal(), torch.ones(n, dtype=torch.double))


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_both_ways_to_sum_agree(scale):
    scores = random(4, 12, 12) * scale
    scores[3, 3, 5:9] = -1e30
    mask = mask_of(12, 7, 1, 12)
    mask[3, 5] = False
    direction = random(4, 12, 12, seed=1)
    spans = scores.where(STRUCTURE.parts(scores.unsqueeze(3), mask).squeeze(3), -1e30)
    on_host = spans.masked_fill(spans <= -1e30, -torch.inf)
    for options in ({"direction": None}, {"direction": direction}):
        compiled = sum_on_host(sum_over_binary_trees, on_host, mask, **options)
        by_torch = sum_by_autograd(_sum_in_log_space, spans, mask, **options)
        torch.testing.assert_close(compiled, by_torch, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", ["log_partition", "marginals"])
def test_second_derivatives(method):
    scores, mask = random(2, 5, 5, 2).requires_grad_(), mask_of(5, 3)
    mask[0, 2] = False
    function = getattr(STRUCTURE, method)
    if method == "log_partition":
        assert torch.autograd.gradgradcheck(lambda s: function(s, mask), scores)
    assert torch.autograd.gradcheck(lambda s: function(s, mask), scores)


def test_derivatives_are_finite_where_spans_are_forbidden():
    scores = random(1, 6, 6, 2)
    scores[0, 1, 3] = -torch.inf
    scores[0, 0, 2, 0] = -torch.inf
    scores.requires_grad_()
    marginals = STRUCTURE.marginals(scores, mask_of(6))
    assert not marginals[0, 1, 3].any() and marginals[0, 0, 2, 1] > 0
    (gradient,) = torch.autograd.grad((marginals**2).sum(), scores)
    assert gradient.isfinite().all() and not gradient[0, 1, 3].any()


def test_samples():
    scores = random(2, 4, 4, 2)
    scores[0, 1, 2] = -torch.inf
    assert_samples_follow(STRUCTURE, scores, oracles.constituency_trees(4, 2))


def test_samples_of_long_sentences():
    scores, mask = random(2, 60, 60, 3), mask_of(60, 45)
    marginals = STRUCTURE.marginals(scores, mask)
    samples = STRUCTURE.sample(scores, mask, 1000, torch.Generator().manual_seed(0))
    for tree in samples[:5, 1]:
        assert_is_tree(tree, 45)
    deviation = (samples.mean(0) - marginals) / (marginals * (1 - marginals) / 1000).sqrt().clamp(min=1e-3)
    assert deviation.abs().max() < 6
    again = STRUCTURE.sample(scores, mask, 1000, torch.Generator().manual_seed(0))
    assert torch.equal(samples, again)


@pytest.mark.parametrize("shape", [(2, 3, 3), (2, 3, 4, 2), (2, 3, 3, 0)])
@pytest.mark.usefixtures("unchecked_shapes")
def test_scores_of_another_shape_are_refused(shape):
    for method in ("argmax", "log_partition", "marginals", "sample", "project", "project_local"):
        with pytest.raises(ValueError, match="expected"):
            getattr(STRUCTURE, method)(torch.zeros(shape), torch.ones(shape[:2], dtype=torch.bool))


def test_no_position_at_all():
    scores, mask = torch.zeros(2, 0, 0, 3), torch.zeros(2, 0, dtype=torch.bool)
    assert STRUCTURE.argmax(scores, mask).shape == scores.shape
    assert STRUCTURE.log_partition(scores, mask).tolist() == [0, 0]
    assert STRUCTURE.sample(scores, mask, 3).shape == (3, *scores.shape)
