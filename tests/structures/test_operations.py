"""
What every structure's operations compute: against all structures of a short sentence and, where these are too many,
against what one operation says of another.
"""

import pytest
import torch

from tests import oracles
from tests.structures.table import ROWS, Row, every_row, every_row_with

every_sum = every_row_with("log_partition", "marginals")
every_projection = every_row_with("project", "project_local")


def without_padding_at_the_end(row: Row) -> torch.Tensor:
    """Of two sentences, the last position of the second one is masked."""
    mask = row.full_mask(row.random(0, 2))
    mask[1, -1] = False
    return mask


@every_row
@pytest.mark.parametrize("scale", [1e-5, 1, 1e4])
def test_argmax_is_the_best_of_all(row: Row, scale: float) -> None:
    for length in range(1, row.length + 1):
        scores = scale * row.random(length, 40, length)  # distinct: there is one best
        best = oracles.best_structures(row.structures(length=length), scores)
        assert torch.equal(row.call("argmax", scores), best)


@every_row
def test_argmax_of_scores_with_ties_is_one_of_the_best(row: Row) -> None:
    structures = row.structures()
    for scores in row.random(0, 80).round(), torch.zeros_like(row.random(0, 1)):
        z = row.call("argmax", scores)
        assert (z.unsqueeze(1) == structures).flatten(2).all(2).any(1).all()
        assert torch.equal((z * scores).flatten(1).sum(1), oracles.best_scores(structures, scores))


@every_row
def test_argmax_does_not_round(row: Row) -> None:
    """Of scores whose differences a sum in float32 would lose."""
    scores = (1e4 + row.random(1, 40) * 0.01).float()
    z = row.call("argmax", scores).double()
    best = oracles.best_scores(row.structures(), scores)
    torch.testing.assert_close((z * scores.double()).flatten(1).sum(1), best, rtol=0, atol=1e-10)


@every_row_with("log_partition")
@pytest.mark.parametrize("scale", [0, 1e-5, 1, 100, 1e4])
def test_sums_are_over_all(row: Row, operation: str, scale: float) -> None:
    for length in range(1, row.length + 1):
        scores = (scale * row.random(length, 10, length)).requires_grad_()
        structures = row.structures(operation, length)
        log_z, marginals = row.call("log_partition", scores), row.call("marginals", scores)
        torch.testing.assert_close(log_z, oracles.log_partition(structures, scores.detach()), rtol=1e-11, atol=1e-10)
        torch.testing.assert_close(marginals, oracles.marginals(structures, scores.detach()), rtol=0, atol=1e-9)
        (gradient,) = torch.autograd.grad(log_z.sum(), scores)
        torch.testing.assert_close(gradient, marginals, rtol=0, atol=1e-9)


@every_sum
def test_sums_differentiate(row: Row, operation: str) -> None:
    mask = without_padding_at_the_end(row)
    scores = row.random(2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: row.call(operation, s, mask), scores)
    if operation == "log_partition":
        assert torch.autograd.gradgradcheck(lambda s: row.call(operation, s, mask), scores)


@every_row_with("log_partition")
@pytest.mark.parametrize("length", [12, 40])
def test_argmax_of_long_sentences_is_the_limit_of_the_sum(row: Row, operation: str, length: int) -> None:
    """`max <= T log Z(s / T) <= max + T log |Z|`, where the sum may leave out a rule in the upper bound."""
    scores, temperature = row.random(3, 4, length), 1e-5
    z = row.call("argmax", scores)
    assert ((z == 0) | (z == 1)).all()
    best = (z * scores).flatten(1).sum(1)
    soft = temperature * row.call(operation, scores / temperature)
    number = row.call(operation, torch.zeros_like(scores))
    assert (best <= soft + 1e-9).all()
    if operation not in row.relaxed:
        assert (soft <= best + temperature * number + 1e-9).all()


@every_row_with("marginals")
def test_marginals_of_long_sentences_are_the_slope_of_the_sum(row: Row, operation: str) -> None:
    scores, direction, step = row.random(4, 4, 30), row.random(5, 4, 30), 1e-5
    there, back = (row.call("log_partition", scores + sign * step * direction) for sign in (1, -1))
    slopes = (row.call(operation, scores) * direction).flatten(1).sum(1)
    torch.testing.assert_close(slopes, (there - back) / (2 * step), rtol=1e-6, atol=1e-6)


def points(row: Row) -> torch.Tensor:
    """Inside the hull and near it, far from it, and where many structures are equally near."""
    scattered = torch.cat([scale * row.random(6, 6) for scale in (0.1, 1, 10)])
    return torch.cat((scattered, (2 * row.random(7, 6)).round() / 2))


@every_projection
def test_projections_are_the_nearest_points_of_their_polytopes(row: Row, operation: str) -> None:
    structures = row.structures(operation)
    for x, y in zip(row.call(operation, points(row)), points(row), strict=True):
        torch.testing.assert_close(x, oracles.nearest_in_hull(structures, y), rtol=0, atol=1e-6)


@every_projection
def test_projections_leave_their_polytopes_alone(row: Row, operation: str) -> None:
    structures = row.structures(operation)
    mixtures = torch.cat((structures[:10], oracles.marginals(structures, points(row))))
    torch.testing.assert_close(row.call(operation, mixtures), mixtures, rtol=0, atol=1e-6)


@every_projection
def test_projections_differentiate(row: Row, operation: str) -> None:
    points = row.random(8, 8).requires_grad_()
    direction, weights, step = row.random(9, 8), row.random(10, 8), 1e-5
    there, back = (row.call(operation, points.detach() + sign * step * direction) for sign in (1, -1))
    (gradient,) = torch.autograd.grad((row.call(operation, points) * weights).sum(), points)
    slopes = ((there - back) / (2 * step) * weights).flatten(1).sum(1)
    torch.testing.assert_close((gradient * direction).flatten(1).sum(1), slopes, rtol=1e-4, atol=1e-4)


@every_row
@pytest.mark.parametrize("scale", [0.3, 3])
def test_projections_of_long_sentences_by_their_duality_gap(row: Row, scale: float) -> None:
    """`(y - x) . (z - x) <= 0` for every structure z, and no direction parts x from all of them."""
    points = scale * row.random(11, 3, 15)
    x = row.call("project", points)
    rest = (points - x).where(row.call("parts", points), 0)
    gap = (row.call("argmax", rest) * rest - x * rest).flatten(1).sum(1)
    assert gap.max() < 1e-8 * max(1, scale)
    for seed in range(12, 17):
        direction = row.random(seed, 3, 15)
        best = row.call("argmax", direction)
        assert ((x - best) * direction).flatten(1).sum(1).max() < 1e-6


@every_row_with("argmax", "log_partition", "marginals")
@pytest.mark.parametrize("scale", [1, 100, 1e4])
def test_what_is_forbidden_is_left_out(row: Row, operation: str, scale: float) -> None:
    scores = scale * row.random(12, 60)
    rates = torch.linspace(0, 0.9, 60).view(-1, *[1] * (scores.dim() - 1))
    scores[torch.rand(scores.shape, generator=torch.Generator().manual_seed(12)) < rates] = -torch.inf
    structures = row.structures(operation)
    possible = oracles.best_scores(structures, scores) > -torch.inf
    assert possible.any()
    for sentence in scores[~possible][:10]:
        with pytest.raises(ValueError, match=r"^sentence 1 has no legal structure: too many of its scores are -inf"):
            row.call(operation, torch.stack((scores[possible][0], sentence)))
    scores = scores[possible]
    expected = {
        "argmax": oracles.best_structures,
        "log_partition": oracles.log_partition,
        "marginals": oracles.marginals,
    }[operation]
    torch.testing.assert_close(row.call(operation, scores), expected(structures, scores), rtol=1e-9, atol=1e-9)
    if operation != "argmax":
        slope = row.call(operation, scores.requires_grad_()).square().sum()
        for _ in range(2 if operation == "log_partition" else 1):
            (gradient,) = torch.autograd.grad(slope, scores, create_graph=True)
            assert gradient.isfinite().all() and (gradient[scores == -torch.inf].abs() < 1e-100).all()
            slope = gradient.square().sum()


@every_projection
def test_projections_leave_out_what_is_forbidden(row: Row, operation: str) -> None:
    points = row.random(13, 12)
    legal = row.structures()[torch.randint(len(row.structures()), (12,), generator=torch.Generator().manual_seed(1))]
    forbidden = (torch.rand(points.shape, generator=torch.Generator().manual_seed(13)) < 0.5) & (legal == 0)
    points[forbidden] = -torch.inf
    for x, y in zip(row.call(operation, points), points, strict=True):
        left = row.structures(operation)
        left = left[(left * (y == -torch.inf)).flatten(1).sum(1) == 0]
        torch.testing.assert_close(
            x, oracles.nearest_in_hull(left, y.clamp(min=0).where(y == -torch.inf, y)), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize(
    "row", [row for row in ROWS if len(row.structures()) > 1 and "marginals" in row.operations], ids=str
)
def test_the_least_finite_score_is_nearly_forbidden(row: Row) -> None:
    scores = row.random(14, 5)
    structures = row.structures()
    # A part that some structures use, and others do without.
    part = ((structures.amax(0) > 0) & (structures.amin(0) == 0)).nonzero()[-1].tolist()
    forbidden = scores.clone()
    scores[(slice(None), *part)] = torch.finfo(torch.double).min
    forbidden[(slice(None), *part)] = -torch.inf
    for operation in ("argmax", "log_partition", "marginals"):
        torch.testing.assert_close(row.call(operation, scores), row.call(operation, forbidden))
