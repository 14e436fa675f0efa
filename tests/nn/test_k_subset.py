import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spigot_allennlp.nn.k_subset import (
    best_k_subset,
    k_subset_log_partition,
    k_subset_marginals,
    project_onto_k_subsets,
)

FUNCTIONS = [best_k_subset, k_subset_log_partition, k_subset_marginals, project_onto_k_subsets]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


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
    projection = project_onto_k_subsets(point, torch.ones(1, length, dtype=torch.bool), k)
    expected = project_by_breaks(point[0].numpy(), min(k, length))
    np.testing.assert_allclose(projection[0].numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("huge", [1e9, 1e20, 1e300])
def test_projection_with_values_of_any_size(huge):
    point = torch.tensor([[huge, 0.25, 0.75, -huge, 0.5], [huge, huge, huge, 0, -1]], dtype=torch.double)
    projection = project_onto_k_subsets(point, torch.ones(2, 5, dtype=torch.bool), 2)
    expected = torch.tensor([[1, 1 / 12, 7 / 12, 0, 1 / 3], [2 / 3, 2 / 3, 2 / 3, 0, 0]], dtype=torch.double)
    torch.testing.assert_close(projection, expected)


def test_a_position_that_is_hardly_chosen():
    point = torch.tensor([[1, 1e-7, -1e-7]], dtype=torch.double)
    projection = project_onto_k_subsets(point, torch.ones(1, 3, dtype=torch.bool), 1)
    expected = torch.tensor([[1 - 5e-8, 5e-8, 0]], dtype=torch.double)
    torch.testing.assert_close(projection, expected, rtol=0, atol=1e-12)


def test_projection_is_differentiable():
    point = random(4, 6).requires_grad_()
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[1, 3:] = False
    assert torch.autograd.gradcheck(lambda y: project_onto_k_subsets(y, mask, 3), point)
    assert project_onto_k_subsets(point, mask, 3).sum(1).tolist() == pytest.approx([3, 3, 3, 3])


@pytest.mark.parametrize("scale", [0.1, 1, 20])
def test_log_partition_is_a_coefficient_of_a_polynomial(scale):
    """The coefficient of x^k in the product of (1 + e^s x)."""
    scores = scale * random(3, 40)
    mask = torch.ones(3, 40, dtype=torch.bool)
    mask[1, 20:] = False
    for k in (1, 7, 20, 40):
        for got, s, m in zip(k_subset_log_partition(scores, mask, k), scores, mask, strict=True):
            coefficients = np.array([1.0], dtype=np.longdouble)
            for value in s[m].numpy():
                coefficients = np.convolve(coefficients, np.array([1, np.exp(np.longdouble(value))]))
            assert float(got) == pytest.approx(float(np.log(coefficients[min(k, int(m.sum()))])), rel=1e-9)


def test_marginals_of_a_long_sentence():
    scores = random(2, 300, seed=1) * 10
    mask = torch.ones(2, 300, dtype=torch.bool)
    marginals = k_subset_marginals(scores, mask, 50)
    torch.testing.assert_close(marginals.sum(1), torch.full((2,), 50.0).double())
    assert (marginals >= 0).all() and (marginals <= 1 + 1e-12).all()
    leaf = scores.clone().requires_grad_()
    k_subset_log_partition(leaf, mask, 50).sum().backward()
    torch.testing.assert_close(marginals, leaf.grad)


def test_equal_scores_choose_uniformly():
    scores, mask = torch.zeros(1, 5), torch.ones(1, 5, dtype=torch.bool)
    torch.testing.assert_close(k_subset_marginals(scores, mask, 2), torch.full((1, 5), 0.4))
    torch.testing.assert_close(project_onto_k_subsets(scores, mask, 2), torch.full((1, 5), 0.4))
    assert k_subset_log_partition(scores, mask, 2).exp().item() == pytest.approx(10)
    assert best_k_subset(scores, mask, 2).sum() == 2


@pytest.mark.parametrize("function", FUNCTIONS)
def test_short_sentences_take_all_their_tokens(function):
    scores = random(2, 4)
    mask = torch.tensor([[True, True, False, True], [False] * 4])
    result = function(scores, mask, 5)
    if function is k_subset_log_partition:
        torch.testing.assert_close(result, torch.stack([scores[0, mask[0]].sum(), torch.tensor(0.0).double()]))
    else:
        torch.testing.assert_close(result, mask.double())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_too_many_forbidden_positions(function):
    scores = random(3, 5)
    scores[1, :3] = -torch.inf
    mask = torch.ones(3, 5, dtype=torch.bool)
    result = function(scores, mask, 2)
    if function is not k_subset_log_partition:
        torch.testing.assert_close(result[1], torch.tensor([0, 0, 0, 1, 1]).double())
    with pytest.raises(ValueError, match="sentence 1 has no legal structure"):
        function(scores, mask, 3)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "scores, mask",
    [
        (torch.zeros(2, 3, 1), torch.ones(2, 3, dtype=torch.bool)),
        (torch.zeros(2, 3), torch.ones(2, 4, dtype=torch.bool)),
        (torch.zeros(2, 3), torch.ones(2, 3)),
        (torch.zeros(2, 3, dtype=torch.long), torch.ones(2, 3, dtype=torch.bool)),
    ],
)
def test_wrong_shapes_and_dtypes(function, scores, mask):
    with pytest.raises(ValueError, match="must be"):
        function(scores, mask, 1)
