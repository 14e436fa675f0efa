"""Projections of label weights, against all labellings of few arguments and by their duality gap for many."""

import itertools

import pytest
import torch

from spigot_allennlp.nn.label_simplices import (
    project_arcs_then_labels,
    project_onto_label_simplices,
    project_onto_switched_label_simplices,
)
from tests.oracles import nearest_in_hull

SCALES = [0.05, 0.3, 1, 5]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def labellings(possible: torch.Tensor) -> torch.Tensor:
    """All ways to give each argument a label that is possible, or none: `(n, arguments, labels)`."""
    nothing = torch.zeros(possible.size(1)).double()
    choices = [[nothing, *torch.eye(len(row)).double()[row]] for row in possible]
    return torch.stack([torch.stack(rows) for rows in itertools.product(*choices)])


def switched(labellings: torch.Tensor) -> torch.Tensor:
    """Off, or on with any of these: `(1 + n, 1 + arguments * labels)`, the switch first."""
    on = torch.nn.functional.pad(labellings.flatten(1), (1, 0), value=1.0)
    return torch.cat((torch.zeros_like(on[:1]), on))


# Three arguments and three labels.
POSSIBLE = torch.tensor([[True, True, True], [True, False, True], [False, False, False]])


@pytest.mark.parametrize("scale", SCALES)
def test_label_simplices_are_the_nearest_weights(scale: float) -> None:
    points = 0.2 + scale * random(20, 3, 3)
    for x, y in zip(project_onto_label_simplices(points, POSSIBLE), points, strict=True):
        torch.testing.assert_close(x, nearest_in_hull(labellings(POSSIBLE), y), rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_arcs_then_labels_are_two_steps(scale: float) -> None:
    """Clip the sum of the labels, then take the nearest weights with that sum."""
    points = scale * random(40, 3, 3)
    result = project_arcs_then_labels(points, POSSIBLE)
    assert not result[:, ~POSSIBLE].any()
    for x, y in zip(result, points, strict=True):
        for found, weights, possible in zip(x, y, POSSIBLE, strict=True):
            if possible.any():
                corners = float(weights[possible].sum().clamp(0, 1)) * torch.eye(int(possible.sum())).double()
                expected = nearest_in_hull(corners, weights[possible])
                torch.testing.assert_close(found[possible], expected, rtol=0, atol=1e-6)
    assert not torch.allclose(result, project_onto_label_simplices(points, POSSIBLE))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("decimals", [1, 15])
def test_switched_label_simplices_are_the_nearest_weights(scale: float, decimals: int) -> None:
    switch = (0.5 + scale * random(30)).round(decimals=decimals)
    points = (0.1 + scale * random(30, 3, 3, seed=1)).round(decimals=decimals)
    vertices = switched(labellings(POSSIBLE))
    found = project_onto_switched_label_simplices(switch, points, POSSIBLE)
    for t, z, s, y in zip(*found, switch, points, strict=True):
        expected = nearest_in_hull(vertices, torch.cat((s[None], y.flatten())))
        torch.testing.assert_close(torch.cat((t[None], z.flatten())), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1, 10, 1e4])
def test_switched_label_simplices_of_many_arguments_by_their_duality_gap(scale: float) -> None:
    """No way to be on, or off, is better in the direction that is left."""
    switch, points = scale * random(50) - 10 * scale, scale * random(50, 60, 12, seed=1)
    t, z = project_onto_switched_label_simplices(switch, points, torch.ones((), dtype=torch.bool))
    assert (t >= 0).all() and (t <= 1).all() and (z >= 0).all()
    assert (z.sum(2) <= t.unsqueeze(1) + 1e-9).all()
    rest_of_switch, rest = switch - t, points - z
    best = (rest_of_switch + rest.amax(2).clamp(min=0).sum(1)).clamp(min=0)
    assert (best - rest_of_switch * t - (rest * z).sum((1, 2)) < 1e-9 * max(1, scale)).all()


def test_a_switch_that_is_never_in_the_way_changes_nothing() -> None:
    points = 0.2 + random(20, 5, 4)
    t, z = project_onto_switched_label_simplices(torch.full((20,), 100.0).double(), points, torch.tensor(True))
    assert (t == 1).all()
    torch.testing.assert_close(z, project_onto_label_simplices(points, torch.tensor(True)))
    t, z = project_onto_switched_label_simplices(torch.full((20,), -100.0).double(), points, torch.tensor(True))
    assert not t.any() and not z.any()


@pytest.mark.parametrize("scale", SCALES)
def test_they_differentiate(scale: float) -> None:
    points = (0.1 + scale * random(4, 3, 3)).requires_grad_()
    switch = (0.4 + 0.2 * random(4, seed=1)).requires_grad_()
    for project in (project_onto_label_simplices, project_arcs_then_labels):
        assert torch.autograd.gradcheck(lambda y, p=project: p(y, POSSIBLE), points)
    assert torch.autograd.gradcheck(
        lambda s, y: project_onto_switched_label_simplices(s, y, POSSIBLE), (switch, points)
    )


@pytest.mark.parametrize("rubbish", [torch.nan, torch.inf, -torch.inf])
def test_what_is_impossible_plays_no_part(rubbish: float) -> None:
    points, switch = random(10, 3, 3), random(10, seed=1)
    dirty = points.where(POSSIBLE, rubbish)
    for project in (project_onto_label_simplices, project_arcs_then_labels):
        assert torch.equal(project(dirty, POSSIBLE), project(points, POSSIBLE))
        assert not project(dirty, POSSIBLE)[:, ~POSSIBLE].any()
    clean = project_onto_switched_label_simplices(switch, points, POSSIBLE)
    for one, other in zip(project_onto_switched_label_simplices(switch, dirty, POSSIBLE), clean, strict=True):
        assert torch.equal(one, other)


def test_labels_that_minus_infinity_forbids_have_no_weight() -> None:
    points, switch = random(10, 3, 3).abs(), random(10, seed=1).abs()
    forbidden = points.where(POSSIBLE, -torch.inf)
    everything = torch.ones_like(POSSIBLE)
    for project in (project_onto_label_simplices, project_arcs_then_labels):
        torch.testing.assert_close(project(forbidden, everything), project(points, POSSIBLE))
    torch.testing.assert_close(
        project_onto_switched_label_simplices(switch, forbidden, everything),
        project_onto_switched_label_simplices(switch, points, POSSIBLE),
    )


def test_scores_that_are_none_are_not_hidden() -> None:
    points = random(1, 3, 3)
    points[0, 0, 1] = torch.nan
    assert project_onto_label_simplices(points, POSSIBLE)[0, 0].isnan().any()
    assert project_arcs_then_labels(points, POSSIBLE)[0, 0].isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_types_are_kept_and_inputs_left_alone(dtype: torch.dtype) -> None:
    points, switch = random(10, 3, 3).to(dtype), random(10, seed=1).to(dtype)
    before = points.clone(), switch.clone()
    t, z = project_onto_switched_label_simplices(switch, points, POSSIBLE)
    results = [t, z, project_onto_label_simplices(points, POSSIBLE), project_arcs_then_labels(points, POSSIBLE)]
    assert [result.dtype for result in results] == [dtype] * 4
    assert torch.equal(points, before[0]) and torch.equal(switch, before[1])


def test_nothing_to_project() -> None:
    t, z = project_onto_switched_label_simplices(torch.zeros(0), torch.zeros(0, 3, 3), POSSIBLE)
    assert t.shape == (0,) and z.shape == (0, 3, 3)
    t, z = project_onto_switched_label_simplices(torch.tensor([0.3, -1, 2]), torch.zeros(3, 0, 3), POSSIBLE[:0])
    assert t.tolist() == pytest.approx([0.3, 0, 1]) and z.shape == (3, 0, 3)
