"""The active-set method against an independent solver, over sets that are listed in full."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spigot_allennlp.nn.active_set import ActiveSet, hull_projection, project_onto_hull
from spigot_allennlp.nn.kernels import atoms as kernel
from spigot_allennlp.structures import NonprojectiveTree, ProjectiveTree
from tests.nn.slopes import compare_slopes, random
from tests.oracles import duality_gap, k_subsets, label_sequences, nearest_in_hull


class Listed:
    """An argmax over a list of structures, which remembers how often it was asked, and for how many sentences."""

    def __init__(self, structures: torch.Tensor) -> None:
        self.structures = structures.double()
        self.asked_for: list[int] = []

    def __call__(self, direction: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        assert direction.dtype == torch.float64 and len(mask) == len(direction)
        self.asked_for.append(len(direction))
        best = (direction.flatten(1) @ self.structures.flatten(1).T).argmax(1)
        return self.structures[best].to(direction.device)


def some_structures(seed: int, count: int = 30, size: int = 7) -> torch.Tensor:
    """A set without any structure to it, in which some members are affinely dependent and some are the same."""
    drawn = torch.randint(0, 2, (count, size), generator=torch.Generator().manual_seed(seed)).double()
    return torch.cat((drawn, drawn[:3], torch.zeros(1, size), torch.ones(1, size)))


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
    active = project(points, Listed(structures))
    projection, atoms, weights = active.projection, active.atoms, active.weights
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
    active = project(points, Listed(structures))
    mixture = (active.weights.unsqueeze(1) @ active.atoms.flatten(2).double()).view_as(points)
    torch.testing.assert_close(active.projection, mixture)  # in the hull, and by the gap no point of it is nearer
    for x, y in zip(active.projection, points, strict=True):
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


def test_argmax_is_asked_for_unfinished_sentences_only():
    points = torch.cat((k_subsets(6, 3)[:3] * 5, 0.1 * random(2, 6)))
    argmax = Listed(k_subsets(6, 3))
    project(points, argmax)
    assert argmax.asked_for[:2] == [5, 5] and set(argmax.asked_for[2:]) <= {1, 2} and argmax.asked_for[2:]


@every_set
def test_an_argmax_may_write_into_its_direction(structures):
    argmax = Listed(structures)

    def careless(direction: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        z = argmax(direction, mask)
        direction.fill_(torch.nan)
        return z

    points = 0.5 + random(10, *structures.shape[1:])
    ours, expected = project(points, careless), project(points, Listed(structures))
    assert torch.equal(ours.projection, expected.projection)
    weights = random(*points.shape, seed=1)
    assert torch.equal(ours.vjp(weights), expected.vjp(weights))


def differentiable(argmax) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda points: hull_projection(lambda target: project(target, argmax), points)


@every_set
@pytest.mark.parametrize("scale", [0.1, 1, 10])
def test_vjp_is_the_derivative(structures, scale):
    points = 0.5 + scale * random(20, *structures.shape[1:])
    products, slopes, smooth = compare_slopes(differentiable(Listed(structures)), points, random(*points.shape, seed=3))
    assert smooth.sum() >= 15
    torch.testing.assert_close(products[smooth], slopes[smooth], rtol=1e-5, atol=1e-5)


@every_set
def test_vjp_is_the_projection_onto_the_span_of_the_face(structures):
    """Also where the point is in the middle of the hull, or of a face, and few of all structures are atoms."""
    points = torch.stack([structures.mean(0), structures.mean(0) + 1000])
    active = project(points, Listed(structures))
    gradient = random(*points.shape, seed=1)
    for x, y, g, product in zip(active.projection, points, gradient, active.vjp(gradient), strict=True):
        worths = (structures * (y - x)).flatten(1).sum(1)
        face = structures[worths > worths.max() - 1e-7].flatten(1)
        _, sizes, basis = torch.linalg.svd(face - face[0], full_matrices=False)
        basis = basis[sizes > 1e-9]
        torch.testing.assert_close(product.flatten(), basis.T @ (basis @ g.flatten()), rtol=0, atol=1e-8)


@pytest.mark.parametrize("argmax", [NonprojectiveTree().argmax, ProjectiveTree().argmax])
@pytest.mark.parametrize("sd", [0.1, 0.3, 1, 3])
def test_derivatives_of_long_projections(argmax, sd):
    """The atoms span less than the face, and that shows from about 12 tokens on."""
    points = sd * random(3, 21, 21, seed=1)
    mask = torch.ones(3, 21, dtype=torch.bool)
    products, slopes, smooth = compare_slopes(
        lambda p: hull_projection(lambda target: project_onto_hull(target, argmax, mask), p),
        points,
        random(3, 21, 21, seed=3),
    )
    assert smooth.sum() >= 2
    torch.testing.assert_close(products[smooth], slopes[smooth], rtol=1e-5, atol=1e-5)


def test_vjp_asks_for_as_many_more_atoms_as_the_face_needs():
    structures = k_subsets(6, 3)
    argmax = Listed(structures)
    at_a_corner = project(5 * structures[:2], argmax)
    asked = len(argmax.asked_for)
    assert not at_a_corner.vjp(random(2, 6)).any()
    # one for each tenth of the gradient's share until no other corner is better, and one that says so
    assert len(argmax.asked_for) - asked <= 2
    inside = project(torch.full((1, 6), 0.5).double(), argmax)
    assert (inside.weights > 0).sum() < 6
    asked = len(argmax.asked_for)
    torch.testing.assert_close(inside.vjp(torch.eye(6).double()[:1])[0], torch.eye(6).double()[0] - 1 / 6)
    assert 0 < len(argmax.asked_for) - asked < 10


def test_gradients_that_have_overflown_are_passed_on():
    active = project(random(3, 6), Listed(k_subsets(6, 3)))
    gradient = torch.ones(3, 6).double()
    gradient[1, 2] = torch.inf
    product = active.vjp(gradient)
    assert product[1].isnan().all() and product[[0, 2]].isfinite().all()


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


def some_atoms(vertices: np.ndarray) -> tuple[kernel.Atoms, list[bool]]:
    """As many as are affinely independent of those before, and which these are."""
    count, size = vertices.shape
    room = kernel.Atoms(
        np.zeros((count, size), np.uint32),
        np.zeros(count, np.int64),
        np.zeros(count),
        np.zeros(count * (count + 1) // 2),
        np.zeros(count),
    )
    appended = []
    for vertex in vertices:
        kernel.load(vertex, room, sum(appended))
        appended.append(kernel.append(vertex, room, sum(appended)))
    return room, appended


def assert_factor(room: kernel.Atoms, vertices: np.ndarray) -> None:
    size = len(vertices)
    factor = np.zeros((size, size))
    factor[np.tril_indices(size)] = room.factor[: size * (size + 1) // 2]
    np.testing.assert_allclose(factor @ factor.T, 1 + vertices @ vertices.T)
    np.testing.assert_allclose(factor @ room.price[:size], 1)


def test_affinely_dependent_vertices_do_not_enter_the_factor():
    square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    room, appended = some_atoms(square)
    assert appended == [True, True, True, False]
    assert_factor(room, square[:3])


@pytest.mark.parametrize("gone", [0, 2, 4])
def test_the_factor_of_those_that_stay(gone):
    vertices = np.tril(np.ones((5, 6)))
    room, appended = some_atoms(vertices)
    assert all(appended)
    kernel.drop(room, 5, gone)
    assert_factor(room, np.delete(vertices, gone, 0))


def test_both_ways_to_find_a_step_agree():
    vertices = np.tril(np.ones((5, 6)))
    room, _ = some_atoms(vertices)
    steps = np.zeros((2, 5))
    kernel.step_by_gain(0.3, room, 5, steps[0])
    kernel.step_by_worths(np.array([2, 2, 2, 2, 2.3]), room, 5, steps[1])
    np.testing.assert_allclose(steps[0], steps[1], atol=1e-12)
    worths = vertices @ (steps[0] @ vertices)
    np.testing.assert_allclose(worths - worths[0], [0, 0, 0, 0, 0.3], atol=1e-12)
    assert abs(steps[0].sum()) < 1e-12
