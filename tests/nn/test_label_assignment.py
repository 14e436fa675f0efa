import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from spigot_allennlp.nn.kernels import label_assignment_hull
from spigot_allennlp.nn.kernels.label_assignment import maximum_matching
from spigot_allennlp.nn.label_assignment import assign_labels, label_indicators, project_onto_label_assignments
from tests.oracles import best_assignment, duality_gap, nearest_in_hull

DETERMINISTIC = torch.tensor([True, True, False, True])


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def everything(scores: torch.Tensor) -> torch.Tensor:
    return torch.ones(scores.shape[:2], dtype=torch.bool)


@given(
    rows=st.integers(0, 9),
    columns=st.integers(0, 9),
    decimals=st.sampled_from([0, 15]),
    forbidden=st.floats(0, 0.9),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=300, deadline=None)
def test_matching_against_scipy(rows, columns, decimals, forbidden, seed):
    generator = np.random.default_rng(seed)
    gain = generator.normal(0.5, 2, (rows, columns)).round(decimals)
    gain[generator.random((rows, columns)) < forbidden] = -np.inf
    chosen = maximum_matching(gain)
    matched = np.flatnonzero(chosen >= 0)
    assert len(set(chosen[matched])) == len(matched)
    useful = np.maximum(gain, 0)
    best = useful[linear_sum_assignment(useful, maximize=True)].sum()
    assert gain[matched, chosen[matched]].sum() == pytest.approx(best)


@pytest.mark.parametrize("decimals", [0, 15])
def test_labels_are_the_best_assignment(decimals):
    scores = random(50, 6, 4).round(decimals=decimals)
    possible = random(50, 6, seed=1) > -1
    label, worth = assign_labels(scores, possible, DETERMINISTIC)
    z = label_indicators(label, worth > 0, like=scores)
    torch.testing.assert_close((z * scores).sum(2), worth)
    assert not z[~possible].any() and z.sum(1)[:, DETERMINISTIC].max() == 1
    for i in range(50):
        assert worth[i].sum().item() == pytest.approx(best_assignment(scores[i, possible[i]], DETERMINISTIC))


@pytest.mark.parametrize("scale", [0.02, 0.3, 1, 3, 10])
def test_projection_against_all_choices(scale):
    points = 0.3 + scale * random(20, 3, 4)
    grid = torch.cartesian_prod(*[torch.arange(5)] * 3)
    choices = torch.nn.functional.one_hot(grid, 5)[..., :4].double()
    choices = choices[(choices.sum(1)[:, DETERMINISTIC] <= 1).all(1)]
    projection = project_onto_label_assignments(points, everything(points), DETERMINISTIC)
    for x, y in zip(projection, points, strict=True):
        torch.testing.assert_close(x, nearest_in_hull(choices, y), rtol=0, atol=1e-6)


def test_impossible_arguments_play_no_part():
    points = random(10, 5, 4)
    possible = everything(points)
    possible[:, [1, 4]] = False
    expected = project_onto_label_assignments(points[:, [0, 2, 3]], possible[:, :3].fill_(True), DETERMINISTIC)
    possible = everything(points)
    possible[:, [1, 4]] = False
    points[:, 1] = torch.nan
    projection = project_onto_label_assignments(points, possible, DETERMINISTIC)
    torch.testing.assert_close(projection[:, [0, 2, 3]], expected)
    assert not projection[:, [1, 4]].any()


# Inside the hull, and near a vertex of it.
INSIDE, OUTSIDE = 0.02 * random(1, 6, 6) + torch.eye(6), 10 * random(1, 6, 6, seed=4)


@pytest.mark.parametrize("point, expected", [(INSIDE, True), (OUTSIDE, False)])
def test_multipliers_are_exact_or_say_that_they_are_not(point, expected):
    """Where they are not, the active-set method takes over, and the projection is exact all the same."""
    deterministic = torch.ones(6, dtype=torch.bool)
    written = np.zeros((1, 6, 6))
    done = label_assignment_hull.project_onto_label_assignments(
        point.numpy(), np.ones((1, 6), bool), deterministic.numpy(), written
    )
    assert done.tolist() == [expected] and written.any() == expected
    projection = project_onto_label_assignments(point, everything(point), deterministic)
    for x in [projection[0], torch.from_numpy(written[0])][: 1 + expected]:
        best = best_assignment(point[0] - x, deterministic)
        assert duality_gap(best, point[0], x) < 1e-9
        assert (x >= 0).all() and (x.sum(0) <= 1 + 1e-9).all() and (x.sum(1) <= 1 + 1e-9).all()


@pytest.mark.parametrize("scale", [0.1, 0.5, 1, 3])
def test_projection_differentiates(scale):
    points = (0.2 + scale * random(6, 5, 4)).requires_grad_()

    def function(values: torch.Tensor) -> torch.Tensor:
        return project_onto_label_assignments(values, everything(values), DETERMINISTIC)

    assert torch.autograd.gradcheck(function, points, eps=1e-5, atol=1e-4)


def test_no_predicates():
    assert project_onto_label_assignments(torch.zeros(0, 3, 4), torch.ones(0, 3).bool(), DETERMINISTIC).shape == (
        0,
        3,
        4,
    )
