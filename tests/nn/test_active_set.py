"""The active-set method against an independent solver, over sets that are listed in full."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spigot_allennlp.nn.active_set import ActiveSet, project_onto_hull
from spigot_allennlp.nn.kernels.min_norm_point import _append
from spigot_allennlp.structures import NonprojectiveTree
from tests.oracles import duality_gap, k_subsets, label_sequences, nearest_in_hull


class Listed:
    """An argmax over a list of structures, which remembers how often it was asked, and for how many sentences."""

    def __init__(self, structures: torch.Tensor) -> None:
        self.structures = structures.double()
        self.asked_for: list[int] = []

    def __call__(self, direction: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        assert direction.dtype == torch.float64 and len(mask) == len(direction)
        self.asked_for.append(len(direction))
        best = (direction.flatten(1) @ self.structures.flatten(1).T).argmax(1)
        return self.structures[best].to(direction.device)


def some_structures(seed: int, count: int = 30, size: int = 7) -> torch.Tensor:
    """A set without any structure to it, in which some members are affinely dependent and some are the same."""
    drawn = torch.randint(0, 2, (count, size), generator=torch.Generator().manual_seed(seed)).double()
    return torch.cat((drawn, drawn[:3], torch.zeros(1, size), torch.ones(1, size)))


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def project(point: torch.Tensor, argmax: Listed, **options) -> ActiveSet:
    return project_onto_hull(point, argmax, torch.ones(len(point), 1, dtype=torch.bool), **options)


SETS = [
    k_subsets(6, 3),
    label_sequences(3, 2),
    some_structures(0),
    some_structures(1, count=4),
    some_structures(2, 200),
]
every_set = pytest.mark.parametrize("structures", SETS, ids=["subsets", "sequences", "mixed", "few", "many"])


@every_set
@pytest.mark.parametrize("scale", [1e-5, 0.1, 1, 10, 1e4])
def test_projection_is_the_nearest_point(structures, scale):
    points = 0.5 + scale * random(12, *structures.shape[1:])
    active = project(points, Listed(structures))
    for x, y in zip(active.projection, points, strict=True):
        torch.testing.assert_close(x, nearest_in_hull(structures, y), rtol=0, atol=1e-6)
        best = float(((y - x).flatten() @ structures.flatten(1).T).max())
        assert duality_gap(best, y, x) < 1e-12 * max(1, scale * 10)


@every_set
def test_active_sets_explain_the_projection(structures):
    points = 0.5 + random(20, *structures.shape[1:])
    projection, atoms, weights = project(points, Listed(structures))
    assert atoms.dtype == torch.bool and atoms.shape == (*weights.shape, *structures.shape[1:])
    torch.testing.assert_close(weights.sum(1), torch.ones(20, dtype=torch.double))
    torch.testing.assert_close((weights.unsqueeze(1) @ atoms.flatten(2).double()).view_as(points), projection)
    for sentence_atoms, sentence_weights in zip(atoms.flatten(2).double(), weights, strict=True):
        used = sentence_weights > 0
        assert not sentence_atoms[~used].any() and (sentence_weights >= 0).all()
        members = sentence_atoms[used]
        assert all((structures.flatten(1) == atom).all(1).any() for atom in members)
        assert torch.linalg.matrix_rank(members[1:] - members[0]) == len(members) - 1


@every_set
@given(seed=st.integers(0, 10**6), halves=st.booleans())
@settings(max_examples=30, deadline=None)
def test_points_with_ties(structures, seed, halves):
    points = torch.randint(-2, 3, (4, *structures.shape[1:]), generator=torch.Generator().manual_seed(seed)).double()
    points = points / 2 if halves else points
    projection, atoms, weights = project(points, Listed(structures))
    mixture = (weights.unsqueeze(1) @ atoms.flatten(2).double()).view_as(points)
    torch.testing.assert_close(projection, mixture)  # in the hull, and by the gap no point of it is nearer
    for x, y in zip(projection, points, strict=True):
        assert duality_gap(float(((y - x).flatten() @ structures.flatten(1).T).max()), y, x) < 1e-12


@every_set
def test_points_of_the_hull_stay(structures):
    mixtures = torch.stack([structures.mean(0), (structures[0] + structures[-1]) / 2, *structures[:5]])
    torch.testing.assert_close(project(mixtures, Listed(structures)).projection, mixtures, rtol=0, atol=1e-6)


def test_large_hull_against_its_closed_form():
    """40 positions, 13 chosen: clipping at a threshold that is found by root finding."""

    def argmax(direction: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(direction).scatter(1, direction.topk(13).indices, 1)

    for scale in (0.01, 0.3, 3):
        points = 1000 + scale * random(8, 40)  # the plane of equal sums is far from 0
        low, high = points.amin(1, keepdim=True) - 1, points.amax(1, keepdim=True)
        for _ in range(200):
            middle = (low + high) / 2
            above = (points - middle).clamp(0, 1).sum(1, keepdim=True) > 13
            low, high = middle.where(above, low), high.where(above, middle)
        result = project(points, argmax).projection
        torch.testing.assert_close(result, (points - low).clamp(0, 1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("offset", [0, 1e3, 1e6])
def test_rounding_does_not_end_long_projections(offset):
    """Hundreds of trees over 100 tokens, their weights down to 1e-13, and far from the origin."""
    points = offset + torch.cat([random(1, 101, 101, seed=seed) for seed in (2, 4, 12, 13)])
    mask = torch.ones(4, 101, dtype=torch.bool)
    x = project_onto_hull(points, NonprojectiveTree().argmax, mask).projection
    best = (points - x) * NonprojectiveTree().argmax(points - x, mask)
    gaps = best.sum((1, 2)) - ((points - x) * x).sum((1, 2))
    assert (gaps < 1e-12 * max(10, 2 * offset)).all()


@every_set
def test_any_start_leads_to_the_same_point(structures):
    points = 0.5 + random(len(structures[:30]), *structures.shape[1:])
    cold = project(points, Listed(structures)).projection
    warm = project(points, Listed(structures), initial=structures[:30]).projection
    torch.testing.assert_close(warm, cold, rtol=0, atol=1e-6)


def test_a_start_that_is_the_answer_is_confirmed_by_one_call():
    structures = k_subsets(6, 3)
    argmax = Listed(structures)
    project(3 * structures[:4] + 0.1 * random(4, 6), argmax, initial=structures[:4])
    assert argmax.asked_for == [4]


def test_argmax_is_asked_for_unfinished_sentences_only_unless_there_is_context():
    points = torch.cat((k_subsets(6, 3)[:3] * 5, 0.1 * random(2, 6)))
    argmax = Listed(k_subsets(6, 3))
    alone = project(points, argmax)
    assert argmax.asked_for[:2] == [5, 5] and set(argmax.asked_for[2:]) <= {1, 2} and argmax.asked_for[2:]
    argmax = Listed(k_subsets(6, 3))
    together = project(points, argmax, extra=torch.zeros(3))
    assert set(argmax.asked_for) == {5}
    torch.testing.assert_close(together.projection, alone.projection)


@every_set
def test_vjp_is_the_derivative(structures):
    points = 0.5 + random(10, *structures.shape[1:])
    gradient = random(*points.shape, seed=1)
    product = project(points, Listed(structures)).vjp(gradient)
    step = 1e-4
    checked = 0
    for i, y in enumerate(points):
        directions = random(5, *y.shape, seed=i)
        there = project(y + step * directions, Listed(structures))
        back = project(y - step * directions, Listed(structures))
        here = project(y[None], Listed(structures))
        if all((s.weights > 0).sum(1).unique().tolist() == [(here.weights > 0).sum()] for s in (there, back)):
            checked += 1
            slopes = ((there.projection - back.projection) / (2 * step) * gradient[i]).flatten(1).sum(1)
            torch.testing.assert_close((product[i] * directions).flatten(1).sum(1), slopes, rtol=0, atol=1e-5)
    assert checked >= 5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_dtype_is_kept_and_inputs_are_untouched(dtype):
    points = random(5, 6).to(dtype).requires_grad_()
    initial = k_subsets(6, 3)[:5].to(dtype)
    before = points.detach().clone(), initial.clone()
    active = project(points, Listed(k_subsets(6, 3)), initial=initial)
    assert active.projection.dtype == dtype and not active.projection.requires_grad
    assert active.vjp(torch.ones_like(points)).dtype == dtype
    assert torch.equal(points, before[0]) and torch.equal(initial, before[1])
    exact = project(points.double(), Listed(k_subsets(6, 3))).projection
    torch.testing.assert_close(active.projection, exact.to(dtype))


def test_empty_batch():
    active = project(torch.zeros(0, 6), Listed(k_subsets(6, 3)))
    assert active.projection.shape == (0, 6) and active.atoms.shape == (0, 0, 6) and active.weights.shape == (0, 0)
    assert active.vjp(torch.zeros(0, 6)).shape == (0, 6)


def test_a_sentence_with_nothing_to_choose():
    active = project(random(3, 4), Listed(torch.zeros(1, 4)))
    assert not active.projection.any() and not active.vjp(random(3, 4)).any()


def test_cells_that_no_structure_uses_are_ignored():
    points = torch.cat((random(4, 6), torch.tensor([torch.nan, torch.inf, -torch.inf, 1e300]).double()[:, None]), 1)
    choices = k_subsets(6, 3)

    def argmax(direction: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(Listed(choices)(direction[:, :6], mask), (0, 1))

    result = project(points, argmax).projection
    torch.testing.assert_close(result[:, :6], project(points[:, :6], Listed(choices)).projection)
    assert not result[:, 6].any()


def test_what_is_no_structure_is_refused():
    with pytest.raises(ValueError, match=r"sentence 0 .* not 0/1"):
        project(random(2, 6), Listed(k_subsets(6, 3) * 2))
    with pytest.raises(ValueError, match=r"sentence 1 .* not 0/1"):
        initial = k_subsets(6, 3)[:2].clone()
        initial[1] /= 2
        project(random(2, 6), Listed(k_subsets(6, 3)), initial=initial)
    points = random(2, 6)
    points[1, 0] = -torch.inf
    with pytest.raises(ValueError, match=r"sentence 1 .* not finite"):
        project(points, Listed(k_subsets(6, 3)), initial=k_subsets(6, 3)[:2])


def test_too_few_iterations_are_an_error():
    points = torch.cat((5 * k_subsets(6, 3)[:1], 0.1 * random(1, 6)))
    argmax = Listed(k_subsets(6, 3))
    needed = len(project(points, argmax) and argmax.asked_for)
    project(points, Listed(k_subsets(6, 3)), max_iterations=needed)
    with pytest.raises(RuntimeError, match=f"sentence 1 needs more than {needed - 1} iterations"):
        project(points, Listed(k_subsets(6, 3)), max_iterations=needed - 1)


def test_affinely_dependent_vertices_do_not_enter_the_factor():
    square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    parts = np.array([[-1, -1], [1, -1], [0, -1], [0, 1]], np.int32)
    factor = np.zeros((4, 4))
    assert [_append(square[i], parts, factor, i) for i in range(4)] == [True, True, True, False]
    np.testing.assert_allclose(factor[:3, :3] @ factor[:3, :3].T, 1 + square[:3] @ square[:3].T)
