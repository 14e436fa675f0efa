"""Projections onto mixtures of label sequences."""

import pytest
import torch

from spigot_allennlp.nn.active_set import project_onto_hull
from spigot_allennlp.structures import LinearChain
from tests.nn.slopes import compare_slopes, random
from tests.oracles import best_scores, label_sequences, nearest_in_hull
from tests.structures.sentences import full_mask

SCALES = [1e-5, 0.1, 1, 10, 1e4]


def assert_nearest(x: torch.Tensor, points: torch.Tensor, tolerance: float) -> None:
    """A flow of 1 whose duality gap is small."""
    assert (x >= 0).all()
    inflow, outflow = x.sum(2)[:, :-1], x.sum(3)[:, 1:]
    torch.testing.assert_close(inflow, outflow, rtol=0, atol=1e-9)
    torch.testing.assert_close(x.sum((2, 3)), torch.ones_like(x[:, :, 0, 0]), rtol=0, atol=1e-9)
    residual = points - x
    best = LinearChain().argmax(residual, full_mask(points))
    gap = (residual.where(residual > -torch.inf, 0.0) * (best - x)).flatten(1).sum(1)
    assert (gap < tolerance).all()


@pytest.mark.parametrize("length, labels", [(1, 3), (2, 2), (4, 2), (3, 3)])
@pytest.mark.parametrize("scale", [0.1, 1, 10])
def test_nearest_points_of_hulls_that_are_listed(length, labels, scale):
    structures = label_sequences(length, labels)
    points = scale * random(12, length, labels, labels)
    for x, y in zip(LinearChain().project(points, full_mask(points)), points, strict=True):
        torch.testing.assert_close(x, nearest_in_hull(structures, y), rtol=0, atol=1e-6)


@pytest.mark.parametrize("points", [0.1 * random(4, 20, 4, 4), random(4, 20, 4, 4), random(4, 20, 4, 4).round()])
def test_they_are_those_of_the_general_method(points):
    general = project_onto_hull(points, LinearChain().argmax, full_mask(points)).projection
    torch.testing.assert_close(LinearChain().project(points, full_mask(points)), general, rtol=0, atol=1e-8)


@pytest.mark.parametrize("scale", [0, *SCALES])
@pytest.mark.parametrize("length, labels", [(7, 1), (60, 6), (400, 3)])
def test_long_sequences(scale, length, labels):
    points = scale * random(2, length, labels, labels)
    x = LinearChain().project(points, full_mask(points))
    parts = LinearChain().parts(points, full_mask(points))
    assert not x[~parts].any()
    assert_nearest(x, points, 1e-9 * max(1, scale) * length)


@pytest.mark.parametrize("rate", [0.3, 0.6, 0.8])
def test_forbidden_pairs(rate):
    points = random(60, 5, 3, 3)
    points[torch.rand(points.shape, generator=torch.Generator().manual_seed(1)) < rate] = -torch.inf
    structures = label_sequences(5, 3)
    possible = best_scores(structures, points) > -torch.inf
    if not possible.all():
        with pytest.raises(ValueError, match=f"sentence {int((~possible).nonzero()[0])} has no legal structure"):
            LinearChain().project(points, full_mask(points))
    points = points[possible]
    x = LinearChain().project(points, full_mask(points))
    assert not x[points == -torch.inf].any()
    assert_nearest(x, points, 1e-9)


@pytest.mark.parametrize("length, labels", [(5, 2), (20, 4), (300, 3)])
@pytest.mark.parametrize("sd", [0.1, 1, 3])
def test_derivatives_are_slopes(length, labels, sd):
    points = sd * random(3, length, labels, labels, seed=length)
    products, slopes, smooth = compare_slopes(
        lambda p: LinearChain().project(p, full_mask(p)), points, random(*points.shape, seed=7)
    )
    assert smooth.sum() >= 2
    torch.testing.assert_close(products[smooth], slopes[smooth], rtol=1e-5, atol=1e-5)


def test_gradcheck():
    points = random(2, 5, 3, 3).requires_grad_()
    mask = torch.tensor([[True] * 5, [False, True, True, False, True]])
    assert torch.autograd.gradcheck(lambda p: LinearChain().project(p, mask), points)


def test_what_defies_newton_takes_the_general_method(monkeypatch):
    from spigot_allennlp.nn.kernels import chain_hull as kernel

    points = random(3, 8, 3, 3).requires_grad_()
    weights = random(*points.shape, seed=1)
    expected = LinearChain().project(points, full_mask(points))
    (expected_gradient,) = torch.autograd.grad(expected, points, weights)
    project = kernel.project_onto_sequences

    def fail_once(values, mask, projections, done):
        status = project(values, mask, projections, done)
        projections[1], done[1] = 0, False
        return status

    monkeypatch.setattr(kernel, "project_onto_sequences", fail_once)
    x = LinearChain().project(points, full_mask(points))
    (gradient,) = torch.autograd.grad(x, points, weights)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-7)
