import pytest
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import Matching
from spigot_allennlp.surrogates import StructuredAttention

either = pytest.mark.parametrize("complete", [True, False])


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def everywhere(scores: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(scores, dtype=torch.bool)


def test_masks_of_cells():
    scores = random(3, 5, 6)
    mask = torch.zeros(3, 5, 6, dtype=torch.bool)
    mask[0, 1:, :4] = True
    mask[0, 2, 3] = False
    mask[1] = True
    mask[1, 2] = mask[1, :, 4] = False
    noise = scores.where(mask, torch.nan)
    for complete in (True, False):
        structure = Matching(complete)
        for method in ("argmax", "project", "project_local"):
            result = getattr(structure, method)(noise, mask)
            assert not result[~mask].any()
            block = scores[:1, 1:, :4].clone()
            if method != "project_local":
                block[0, 1, 3] = -torch.inf
                alone = getattr(structure, method)(block, everywhere(block))
                torch.testing.assert_close(result[:1, 1:, :4], alone, rtol=0, atol=1e-9)
            rows, columns = torch.tensor([0, 1, 3, 4]), torch.tensor([0, 1, 2, 3, 5])
            block = scores[1][rows][:, columns].unsqueeze(0)
            alone = getattr(structure, method)(block, everywhere(block))[0]
            torch.testing.assert_close(result[1][rows][:, columns], alone, rtol=0, atol=1e-9)


@either
@pytest.mark.parametrize("scale", [0, 1e-3, 0.3, 3, 100])
@pytest.mark.parametrize(("rows", "columns"), [(40, 40), (30, 45), (45, 30)])
def test_projections_of_many_pairs(complete, scale, rows, columns):
    """Within the bounds, and no matching lies further in the direction from the projection to the point."""
    structure = Matching(complete)
    points = scale * random(3, rows, columns)
    points[1] = points[1].round()  # with ties
    points[2, :, 1] = points[2, :, 0]
    projection = structure.project(points, everywhere(points))
    by_row, by_column = projection.sum(2), projection.sum(1)
    assert (projection >= 0).all() and (by_row < 1 + 1e-9).all() and (by_column < 1 + 1e-9).all()
    if complete:
        torch.testing.assert_close(projection.sum((1, 2)), torch.full((3,), min(rows, columns)).double())
    direction = points - projection
    best = structure.argmax(direction, everywhere(points))
    gap = ((best - projection) * direction).sum((1, 2))
    assert (gap < 1e-9 * max(1, scale)).all()


@either
@pytest.mark.parametrize("scale", [0.1, 1, 3])
@pytest.mark.parametrize(("rows", "columns"), [(30, 30), (20, 35)])
def test_derivatives_of_projections_of_many_pairs(complete, scale, rows, columns):
    structure = Matching(complete)
    points = (scale * random(4, rows, columns)).requires_grad_()
    direction, weights, step = random(4, rows, columns, seed=1), random(4, rows, columns, seed=2), 1e-6
    mask = everywhere(points)
    there, back = (structure.project(points.detach() + sign * step * direction, mask) for sign in (1, -1))
    (gradient,) = torch.autograd.grad((structure.project(points, mask) * weights).sum(), points)
    slopes = ((there - back) / (2 * step) * weights).sum((1, 2))
    torch.testing.assert_close((gradient * direction).sum((1, 2)), slopes, rtol=1e-5, atol=1e-5)


def test_pairs_that_are_forbidden():
    scores = random(2, 3, 3)
    scores[0, 0, 1:] = -torch.inf
    scores[0, 1, 2] = -torch.inf
    mask = everywhere(scores)
    torch.testing.assert_close(Matching().argmax(scores, mask)[0], torch.eye(3, dtype=torch.double))
    torch.testing.assert_close(Matching().project(scores, mask)[0], torch.eye(3, dtype=torch.double))
    scores[1, :2, 1:] = -torch.inf
    for method in ("argmax", "project"):
        with pytest.raises(ValueError, match="sentence 1 has no legal structure"):
            getattr(Matching(), method)(scores, mask)
        assert getattr(Matching(complete=False), method)(scores, mask)[1, :2, 0].sum() <= 1


def test_what_a_matching_cannot_do_is_declared():
    assert Matching().operations() >= {"argmax", "project", "project_local"}
    assert not Matching().operations() & {"log_partition", "marginals", "sample", "entropy"}
    with pytest.raises(ConfigurationError, match="structured_attention needs marginals, and matching has none"):
        StructuredAttention(Matching())


@pytest.mark.parametrize(("shape", "mask"), [((2, 3), (2, 3)), ((2, 3, 4), (2, 4)), ((2, 3, 4), (2, 4, 3))])
@pytest.mark.usefixtures("unchecked_shapes")
def test_other_shapes_are_refused(shape, mask):
    for method in ("argmax", "project", "project_local"):
        with pytest.raises(ValueError, match="expected"):
            getattr(Matching(), method)(torch.zeros(shape), torch.ones(mask, dtype=torch.bool))
