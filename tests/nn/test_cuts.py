"""Exact projections onto trees, in value and derivative: nonprojective by cutting planes, projective in one loop."""

import pytest
import torch
from scipy.optimize import linprog

from spigot_allennlp.nn import cuts, projective_hull
from spigot_allennlp.nn.active_set import ActiveSet, project_onto_hull
from spigot_allennlp.nn.arcs import arc_mask
from spigot_allennlp.nn.cuts import project_onto_arborescences
from spigot_allennlp.nn.projective_hull import project_onto_projective_trees
from spigot_allennlp.nn.simplex import project_onto_simplex
from spigot_allennlp.structures import NonprojectiveTree, ProjectiveTree
from tests import oracles
from tests.gpu import needs_gpu
from tests.nn.slopes import compare_slopes, random
from tests.structures.sentences import full_mask

PROJECT = {"nonprojective_tree": project_onto_arborescences, "projective_tree": project_onto_projective_trees}
ENUMERATE = {"nonprojective_tree": oracles.nonprojective_trees, "projective_tree": oracles.projective_trees}
STRUCTURE = {"nonprojective_tree": NonprojectiveTree, "projective_tree": ProjectiveTree}
both_kinds = pytest.mark.parametrize("kind", PROJECT)
both_roots = pytest.mark.parametrize("single_root", [False, True])


def by_the_general_method(kind: str, points: torch.Tensor, single_root: bool) -> ActiveSet:
    return project_onto_hull(points, STRUCTURE[kind](single_root).argmax, full_mask(points))


def assert_nearest(kind: str, x: torch.Tensor, points: torch.Tensor, single_root: bool, tolerance: float) -> None:
    """The duality gap of a point whose rows are in the simplex, and which no direction tells from trees."""
    legal = arc_mask(full_mask(points))
    assert (x >= 0).all() and (x[~legal] == 0).all()
    torch.testing.assert_close(x[:, 1:].sum(2), torch.ones_like(x[:, 1:, 0]), rtol=0, atol=tolerance)
    for direction, excess in ((points - x, tolerance), (random(*x.shape), 1e-8)):
        best = STRUCTURE[kind](single_root).argmax(direction, full_mask(points))
        worth = torch.where(legal & (direction > -torch.inf), direction, 0.0)
        gap = (worth * (best - x)).flatten(1).sum(1)
        if excess == tolerance:
            assert (gap <= excess).all()
        else:
            assert (gap >= -excess).all()


def hard_points(length: int) -> dict[str, torch.Tensor]:
    """`(4, length, length)` each."""
    shape = (4, length, length)
    tree = NonprojectiveTree(single_root=True).argmax(random(*shape), full_mask(random(*shape)))
    clusters = random(*shape)
    clusters[:, 1:4, 1:4] += 8
    clusters[:, 4:7, 4:7] += 8
    symmetric = random(*shape) + random(*shape).transpose(1, 2)
    points = {
        "zeros": torch.zeros(shape).double(),
        "ties": random(*shape, seed=1).round(),
        "rank 1": random(*shape[:2], 1) * random(shape[0], 1, length, seed=1),
        "favourite heads": 3 * random(shape[0], 1, length).expand(shape),
        "symmetric": 10 * symmetric,
        "clusters": clusters,
        "no root wanted": random(*shape) - 20 * torch.eye(1, length).double(),
        "all roots wanted": random(*shape) + 20 * torch.eye(1, length).double(),
        "a tree": 5 * tree + 0.01 * random(*shape),
        "two trees": (tree + tree.roll(1, 0)) / 2,
        "heavy tails": random(*shape) / random(*shape, seed=1),
    }
    points |= {f"sd {sd:g}": sd * random(*shape, seed=2) for sd in (1e-5, 1e-2, 1, 100, 1e4)}
    chain = torch.eye(length).roll(1, 0).bool()  # some tree is always left
    for rate in (0.4, 0.8):
        forbidden = (torch.rand(shape, generator=torch.Generator().manual_seed(1)) < rate) & ~chain
        points[f"{rate:.0%} forbidden"] = random(*shape).masked_fill(forbidden, -torch.inf)
        points[f"{rate:.0%} forbidden, zeros"] = torch.zeros(shape).double().masked_fill(forbidden, -torch.inf)
        points[f"{rate:.0%} at -1e9"] = random(*shape).masked_fill(forbidden, -1e9)
    return points


@both_kinds
@both_roots
@pytest.mark.parametrize("length", [2, 3, 4, 5])
@pytest.mark.parametrize("scale", [0.1, 1, 10])
def test_nearest_points_of_hulls_that_are_listed(kind, single_root, length, scale):
    structures = ENUMERATE[kind](length, single_root)
    points = scale * random(12, length, length)
    for x, y in zip(PROJECT[kind](points, full_mask(points), single_root), points, strict=True):
        torch.testing.assert_close(x, oracles.nearest_in_hull(structures, y), rtol=0, atol=1e-6)


@both_kinds
@both_roots
@pytest.mark.parametrize("name", hard_points(7))
def test_hard_points_and_hulls_that_are_listed(kind, single_root, name):
    structures = ENUMERATE[kind](5, single_root)
    points = hard_points(7)[name][:, :5, :5]
    possible = oracles.best_scores(structures, points) > -torch.inf
    points = points[possible]
    for x, y in zip(PROJECT[kind](points, full_mask(points), single_root), points, strict=True):
        usable = structures[~(structures[:, y == -torch.inf] > 0).any(1)]
        residual = y.masked_fill(y == -torch.inf, 0) - x
        gap = ((usable - x) * residual).flatten(1).sum(1).max()
        assert gap < 1e-12 * residual.abs().max().clamp(min=1)
        # x is a mixture of them
        system = torch.cat((usable.flatten(1).T, torch.ones(1, len(usable)).double()))
        sums = torch.cat((x.flatten(), torch.ones(1).double()))
        found = linprog(torch.zeros(len(usable)).numpy(), A_eq=system.numpy(), b_eq=sums.numpy())
        assert found.success


@both_roots
@pytest.mark.parametrize("length", [8, 14])
@pytest.mark.parametrize("name", hard_points(8))
def test_cuts_agree_with_the_general_method(name, length, single_root):
    points = hard_points(length)[name].requires_grad_()
    x = project_onto_arborescences(points, full_mask(points), single_root)
    assert len(x.grad_fn.rest) == 0
    general = by_the_general_method("nonprojective_tree", points.detach(), single_root)
    torch.testing.assert_close(x.detach(), general.projection, rtol=0, atol=1e-8)


@both_roots
@pytest.mark.parametrize("name", hard_points(8))
def test_long_sentences_are_projected_by_cuts(name, single_root):
    points = hard_points(50)[name].requires_grad_()
    x = project_onto_arborescences(points, full_mask(points), single_root)
    assert len(x.grad_fn.rest) == 0
    scale = points.detach().where(points > -1e9, 0.0).abs().max().clamp(min=1)
    assert_nearest("nonprojective_tree", x.detach(), points.detach(), single_root, 1e-9 * float(scale))


@both_kinds
@both_roots
@pytest.mark.parametrize("tokens", [5, 20, 40, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sd", [0.1, 0.3, 1, 3])
def test_derivatives_are_slopes(kind, single_root, tokens, sd):
    points = sd * random(2, tokens + 1, tokens + 1, seed=tokens)
    directions = random(*points.shape, seed=7)
    products, slopes, smooth = compare_slopes(lambda p: PROJECT[kind](p, full_mask(p), single_root), points, directions)
    assert smooth.any()
    torch.testing.assert_close(products[smooth], slopes[smooth], rtol=1e-5, atol=1e-5)


@both_roots
def test_cuts_and_the_general_method_have_the_same_derivative(single_root):
    for sd in (0.1, 1, 5):
        points = (sd * random(4, 26, 26)).requires_grad_()
        weights = random(*points.shape, seed=1)
        (gradient,) = torch.autograd.grad(
            project_onto_arborescences(points, full_mask(points), single_root), points, weights
        )
        general = by_the_general_method("nonprojective_tree", points.detach(), single_root)
        torch.testing.assert_close(gradient, general.vjp(weights), rtol=0, atol=1e-7)


@pytest.mark.parametrize("seed", [0, 1, 3, 4])
def test_where_single_heads_are_as_near_they_have_the_same_derivative(seed):
    points = (0.1 * random(1, 21, 21, seed=seed)).requires_grad_()
    mask = full_mask(points)
    trees = project_onto_arborescences(points, mask)
    heads = project_onto_simplex(points, arc_mask(mask))
    torch.testing.assert_close(trees, heads, rtol=0, atol=1e-12)
    weights = random(*points.shape, seed=100)
    (by_heads,) = torch.autograd.grad(heads, points, weights)
    (by_trees,) = torch.autograd.grad(trees, points, weights)
    general = by_the_general_method("nonprojective_tree", points.detach(), False)
    torch.testing.assert_close(by_trees, by_heads, rtol=0, atol=1e-10)
    torch.testing.assert_close(general.vjp(weights), by_heads, rtol=0, atol=1e-7)


@both_kinds
@both_roots
@pytest.mark.parametrize("tokens", [5, 20])
def test_all_zero_scores_have_the_derivative_of_the_face(kind, single_root, tokens):
    """The projection may bend there, but not along differences of trees of which it is a mixture."""
    points = torch.zeros(2, tokens + 1, tokens + 1, dtype=torch.double)
    active = by_the_general_method(kind, points, single_root)
    coefficients = active.weights * random(2, active.weights.size(1))
    coefficients -= active.weights * coefficients.sum(1, keepdim=True)
    directions = (coefficients.unsqueeze(1) @ active.atoms.flatten(2).double()).view_as(points)
    products, slopes, smooth = compare_slopes(lambda p: PROJECT[kind](p, full_mask(p), single_root), points, directions)
    assert smooth.all()
    torch.testing.assert_close(products, slopes, rtol=1e-5, atol=1e-5)


@both_kinds
@both_roots
def test_gradcheck(kind, single_root):
    points = random(2, 6, 6, seed=4).requires_grad_()
    mask = torch.tensor([[True] * 6, [True, False, True, True, False, True]])
    assert torch.autograd.gradcheck(lambda p: PROJECT[kind](p, mask, single_root), points)


@both_kinds
@both_roots
def test_the_jacobian_is_a_projection(kind, single_root):
    points = random(3, 31, 31).requires_grad_()
    x = PROJECT[kind](points, full_mask(points), single_root)
    first, second = random(*points.shape, seed=1), random(*points.shape, seed=2)

    def jacobian(weights: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(x, points, weights, retain_graph=True)[0]

    torch.testing.assert_close(jacobian(jacobian(first)), jacobian(first), rtol=0, atol=1e-8)
    torch.testing.assert_close((jacobian(first) * second).sum(), (jacobian(second) * first).sum())


@both_kinds
@both_roots
def test_holes_and_padding_play_no_part(kind, single_root):
    points = random(3, 9, 9)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1, 0, 0], [1, 0, 1, 1, 0, 1, 1, 0, 1], [1] * 9], dtype=torch.bool)
    weights = random(*points.shape, seed=1)
    rubbish = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e30]).repeat(points.numel())[: points.numel()].double()
    dirty = points.where(arc_mask(mask), rubbish.view_as(points)).requires_grad_()
    x = PROJECT[kind](dirty, mask, single_root)
    (gradient,) = torch.autograd.grad(x, dirty, weights)
    assert not x[~arc_mask(mask)].any() and not gradient[~arc_mask(mask)].any()
    for b in range(3):
        kept = mask[b].nonzero().squeeze(1)
        short = points[b][kept][:, kept][None].requires_grad_()
        alone = PROJECT[kind](short, full_mask(short), single_root)
        (expected,) = torch.autograd.grad(alone, short, weights[b][kept][:, kept][None])
        torch.testing.assert_close(x[b][kept][:, kept], alone[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(gradient[b][kept][:, kept], expected[0], rtol=0, atol=1e-9)


@both_kinds
@both_roots
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_dtypes_stay_and_inputs_are_not_touched(kind, single_root, dtype):
    points = random(3, 7, 7).to(dtype).transpose(1, 2).requires_grad_()
    before = points.detach().clone()
    x = PROJECT[kind](points, full_mask(points), single_root)
    x.sum().backward()
    assert x.dtype == points.grad.dtype == dtype and torch.equal(points, before)
    exact = PROJECT[kind](points.detach().double(), full_mask(points), single_root)
    torch.testing.assert_close(x.detach(), exact.to(dtype))


@both_kinds
@both_roots
def test_empty_batches_and_sentences_of_only_root(kind, single_root):
    for batch_size, length in (0, 4), (2, 1), (2, 4):
        points = random(batch_size, length, length).requires_grad_()
        mask = torch.zeros(batch_size, length, dtype=torch.bool)
        mask[:1, 0] = True
        x = PROJECT[kind](points, mask, single_root)
        x.sum().backward()
        assert x.shape == points.shape and not x.any() and not points.grad.any()


@both_kinds
@both_roots
def test_points_that_are_none_are_refused(kind, single_root):
    for bad in (torch.nan, torch.inf):
        points = random(3, 4, 4)
        points[1, 2, 3] = bad
        with pytest.raises(ValueError, match=r"NaN or \+inf in sentence 1"):
            PROJECT[kind](points, full_mask(points), single_root)
    cycle = random(3, 4, 4)
    cycle[2, 1, [0, 3]] = cycle[2, 2, [0, 3]] = -torch.inf
    two_roots = random(3, 4, 4)
    two_roots[2, 1, 2:] = two_roots[2, 3, 1:] = -torch.inf
    no_head = random(3, 4, 4)
    no_head[2, 3] = -torch.inf
    for points in (cycle, two_roots, no_head) if single_root else (cycle, no_head):
        with pytest.raises(ValueError, match="sentence 2 has no legal structure"):
            PROJECT[kind](points, full_mask(points), single_root)


@both_roots
def test_what_cuts_fail_at_takes_the_general_method(single_root, monkeypatch):
    tree = NonprojectiveTree(single_root=True).argmax(random(1, 9, 9), full_mask(random(1, 9, 9)))
    points = torch.cat((5 * tree, random(4, 9, 9)))
    points.requires_grad_()
    weights = random(*points.shape, seed=1)

    def project() -> tuple[torch.Tensor, torch.Tensor, int]:
        x = project_onto_arborescences(points, full_mask(points), single_root)
        return x.detach(), torch.autograd.grad(x, points, weights)[0], len(x.grad_fn.rest)

    expected, expected_gradient, rest = project()
    assert rest == 0
    monkeypatch.setattr(cuts, "MAX_ROUNDS", 1)
    x, gradient, rest = project()
    assert 0 < rest < len(points)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-8)


def test_multipliers_beyond_rounding_take_the_general_method():
    """Two tokens hang from ROOT, or else one takes an arc at -1e9: only by that much is the root single."""
    points = random(1, 4, 4)
    points[0, 1, 2:] = points[0, 3, 1:] = -1e9
    x = project_onto_arborescences(points, full_mask(points), single_root=True)
    torch.testing.assert_close(x, by_the_general_method("nonprojective_tree", points, True).projection)


@both_roots
def test_projective_trees_in_one_loop_are_the_general_method(single_root):
    for points in (0.1 * random(3, 26, 26), 2 * random(3, 26, 26), random(3, 26, 26).round()):
        x = project_onto_projective_trees(points, full_mask(points), single_root)
        general = by_the_general_method("projective_tree", points, single_root)
        torch.testing.assert_close(x, general.projection, rtol=0, atol=1e-9)
        assert_nearest("projective_tree", x, points, single_root, 1e-11)


def test_projective_trees_that_are_not_done_are_an_error(monkeypatch):
    points = torch.cat((5 * oracles.projective_trees(6)[:1], 0.1 * random(1, 6, 6)))
    monkeypatch.setattr(projective_hull, "MAX_ITERATIONS", 3)
    with pytest.raises(RuntimeError, match="sentence 1 needs more than 3 iterations"):
        project_onto_projective_trees(points, full_mask(points))


@both_kinds
def test_gradients_that_have_overflown_are_passed_on(kind):
    points = random(3, 6, 6).requires_grad_()
    weights = torch.ones_like(points)
    weights[1, 2] = torch.inf
    (gradient,) = torch.autograd.grad(PROJECT[kind](points, full_mask(points)), points, weights)
    assert not gradient[1].isfinite().all() and gradient[[0, 2]].isfinite().all()


@needs_gpu
@both_kinds
def test_tensors_on_a_gpu(kind):
    points = random(3, 8, 8)
    results = []
    for device in ("cpu", "cuda"):
        there = points.to(device).requires_grad_()
        x = PROJECT[kind](there, full_mask(there).to(device))
        (gradient,) = torch.autograd.grad(x, there, random(*points.shape, seed=1).to(device))
        assert x.device == gradient.device == there.device
        results.append((x.detach().cpu(), gradient.cpu()))
    torch.testing.assert_close(results[0], results[1])
