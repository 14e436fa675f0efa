"""What is special to subsets: closed forms, long sentences, and extreme values."""

import itertools

import numpy as np
import pytest
import torch
from allennlp.common.checks import ConfigurationError
from hypothesis import given, settings
from hypothesis import strategies as st

from spigot_allennlp.structures import KSubset

OPERATIONS = ["argmax", "log_partition", "marginals", "project"]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def full_mask(scores: torch.Tensor) -> torch.Tensor:
    return torch.ones(scores.shape, dtype=torch.bool)


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_positive(k):
    with pytest.raises(ConfigurationError, match=f"^k must be a positive number, but is {k}$"):
        KSubset(k)


def project_by_breaks(point: np.ndarray, k: int) -> np.ndarray:
    """The threshold by trying every piece between two of the values that `point` and `point - 1` take."""
    candidates = []
    for lower, upper in itertools.pairwise(np.sort(np.concatenate([point, point - 1]))):
        middle = (lower + upper) / 2
        full = point - 1 >= middle
        between = (point > middle) & ~full
        threshold = (point[between].sum() + full.sum() - k) / max(1, between.sum())
        candidates.append(np.clip(point - np.clip(threshold, lower, upper), 0, 1))
    return min(candidates, key=lambda candidate: abs(candidate.sum() - k))


@given(
    length=st.integers(1, 30),
    k=st.integers(1, 30),
    scale=st.sampled_from([1e-5, 0.1, 1, 10, 1e4]),
    decimals=st.sampled_from([0, 1, 15]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=300, deadline=None)
def test_projection_against_all_pieces(length, k, scale, decimals, seed):
    point = (scale * random(1, length, seed=seed)).round(decimals=decimals)
    projection = KSubset(k).project(point, full_mask(point))
    expected = project_by_breaks(point[0].numpy(), min(k, length))
    np.testing.assert_allclose(projection[0].numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("huge", [1e9, 1e20, 1e300])
def test_projection_with_values_of_any_size(huge):
    point = torch.tensor([[huge, 0.25, 0.75, -huge, 0.5], [huge, huge, huge, 0, -1]], dtype=torch.double)
    projection = KSubset(2).project(point, full_mask(point))
    expected = torch.tensor([[1, 1 / 12, 7 / 12, 0, 1 / 3], [2 / 3, 2 / 3, 2 / 3, 0, 0]], dtype=torch.double)
    torch.testing.assert_close(projection, expected)


def test_a_position_that_is_hardly_chosen():
    point = torch.tensor([[1, 1e-7, -1e-7]], dtype=torch.double)
    projection = KSubset(1).project(point, full_mask(point))
    expected = torch.tensor([[1 - 5e-8, 5e-8, 0]], dtype=torch.double)
    torch.testing.assert_close(projection, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [0.1, 1, 20])
def test_log_partition_is_a_coefficient_of_a_polynomial(scale):
    """The coefficient of x^k in the product of (1 + e^s x)."""
    scores = scale * random(3, 40)
    mask = full_mask(scores)
    mask[1, 20:] = False
    for k in (1, 7, 20, 40):
        for got, s, m in zip(KSubset(k).log_partition(scores, mask), scores, mask, strict=True):
            coefficients = np.array([1.0], dtype=np.longdouble)
            for value in s[m].numpy():
                coefficients = np.convolve(coefficients, np.array([1, np.exp(np.longdouble(value))]))
            assert float(got) == pytest.approx(float(np.log(coefficients[min(k, int(m.sum()))])), rel=1e-9)


def test_marginals_of_a_long_sentence():
    scores = random(2, 300, seed=1) * 10
    marginals = KSubset(50).marginals(scores, full_mask(scores))
    torch.testing.assert_close(marginals.sum(1), torch.full((2,), 50.0).double())
    assert (marginals >= 0).all() and (marginals <= 1 + 1e-12).all()
    leaf = scores.clone().requires_grad_()
    KSubset(50).log_partition(leaf, full_mask(scores)).sum().backward()
    torch.testing.assert_close(marginals, leaf.grad)


def test_second_derivatives_of_scores_that_spread_far():
    scores = torch.tensor([[1000.0, 0, -1000, 1, 0.5]], dtype=torch.double, requires_grad=True)
    (slope,) = torch.autograd.grad(KSubset(2).log_partition(scores, full_mask(scores)), scores, create_graph=True)
    (second,) = torch.autograd.grad(slope[0, 1], scores)
    # Beside the first position, one of three is chosen.
    chances = torch.tensor([0, 1, 0.5]).double().softmax(0)
    expected = chances[0] * (torch.tensor([1.0, 0, 0]) - chances)
    torch.testing.assert_close(second[0, [1, 3, 4]], expected)
    assert second[0, [0, 2]].abs().max() < 1e-12


def test_equal_scores_choose_uniformly():
    scores, structure = torch.zeros(1, 5), KSubset(2)
    mask = full_mask(scores)
    torch.testing.assert_close(structure.marginals(scores, mask), torch.full((1, 5), 0.4))
    torch.testing.assert_close(structure.project(scores, mask), torch.full((1, 5), 0.4))
    assert structure.log_partition(scores, mask).exp().item() == pytest.approx(10)
    assert structure.argmax(scores, mask).sum() == 2


@pytest.mark.parametrize("operation", OPERATIONS)
def test_short_sentences_take_all_their_tokens(operation):
    scores = random(2, 4)
    mask = torch.tensor([[True, True, False, True], [False] * 4])
    result = getattr(KSubset(5), operation)(scores, mask)
    if operation == "log_partition":
        torch.testing.assert_close(result, torch.stack([scores[0, mask[0]].sum(), torch.tensor(0.0).double()]))
    else:
        torch.testing.assert_close(result, mask.double())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_too_many_forbidden_positions(operation):
    scores = random(3, 5)
    scores[1, :3] = -torch.inf
    result = getattr(KSubset(2), operation)(scores, full_mask(scores))
    if operation != "log_partition":
        torch.testing.assert_close(result[1], torch.tensor([0, 0, 0, 1, 1]).double())
    with pytest.raises(ValueError, match="sentence 1 has no legal structure"):
        getattr(KSubset(3), operation)(scores, full_mask(scores))


def test_at_most_k_of_a_long_sentence():
    scores = torch.randn(3, 200, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    scores[0, 5] = -torch.inf
    scores[2] = -1 - scores[2].abs()
    mask = torch.arange(200) < torch.tensor([[200], [12], [200]])
    structure = KSubset(20, exactly=False)
    z, marginals = structure.argmax(scores, mask), structure.marginals(scores, mask)
    assert z.sum(1).tolist() == [20, (scores[1, :12] > 0).sum(), 0]
    assert (marginals[:, 5] == torch.tensor([0.0, marginals[1, 5], marginals[2, 5]])).all()
    # With more positions to choose from than there are, each is chosen by itself.
    torch.testing.assert_close(marginals[1, :12], scores[1, :12].sigmoid())
    assert (marginals.sum(1) < 20).all() and marginals[0].sum() > 19
    projection = structure.project(scores, mask)
    torch.testing.assert_close(projection[1:], scores[1:].clamp(0, 1) * mask[1:])
    torch.testing.assert_close(projection[:1], KSubset(20).project(scores[:1], mask[:1]))
    assert not structure.project(scores.masked_fill(mask, -torch.inf), mask).any()
