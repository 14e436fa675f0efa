from collections.abc import Callable

import pytest
import torch

from spigot_allennlp.nn.simplex import _by_kernel, _by_sorting, project_onto_capped_simplex, project_onto_simplex

PROJECTIONS = [project_onto_simplex, project_onto_capped_simplex]
Projection = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def random_rows(scale: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """600 rows, masked at random, the first one entirely."""
    generator = torch.Generator().manual_seed(seed)
    point = torch.randn(600, 9, generator=generator, dtype=torch.float64) * scale
    mask = torch.rand(600, 9, generator=generator) < 0.7
    mask[0] = False
    return point, mask


def bisect(point: torch.Tensor, mask: torch.Tensor, capped: bool) -> torch.Tensor:
    """The root of `sum max(x - tau, 0) = 1`, by bisection."""
    values = point.masked_fill(~mask, float("-inf"))
    high = values.amax(1, keepdim=True).clamp(min=-1e300)
    low = high - 1
    for _ in range(200):
        middle = (low + high) / 2
        too_low = (values - middle).clamp(min=0).sum(1, keepdim=True) > 1
        low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
    if capped:
        low = low.clamp(min=0)
    return (values - low).clamp(min=0)


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e4])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_projection_equals_bisection(
    projection: Projection, scale: float, dtype: torch.dtype, tolerance: float
) -> None:
    point, mask = random_rows(scale)
    point = point.to(dtype)
    expected = bisect(point.double(), mask, capped=projection is project_onto_capped_simplex)
    result = projection(point, mask)
    assert result.dtype == dtype
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("capped", [False, True])
@pytest.mark.parametrize("scale", [1e-5, 0.3, 1.0, 1e4])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_both_ways_to_project_agree(capped: bool, scale: float, dtype: torch.dtype, tolerance: float) -> None:
    point, mask = random_rows(scale)
    point = point.to(dtype).view(3, 200, 9)
    mask = mask.view(3, 200, 9)
    (compiled, tight), (by_torch, also_tight) = (way(point, mask, capped) for way in (_by_kernel, _by_sorting))
    torch.testing.assert_close(compiled, by_torch, rtol=0, atol=tolerance)
    assert torch.equal(tight, also_tight) and compiled.dtype == by_torch.dtype == dtype


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e4])
def test_no_simplex_point_is_nearer(scale: float) -> None:
    # p is nearest to x iff (x - p) . (q - p) <= 0 for all q in the simplex, that is for its corners.
    point, mask = random_rows(scale)
    p = project_onto_simplex(point, mask)[1:]
    point, mask = point[1:], mask[1:]
    assert (p >= 0).all() and (p[~mask] == 0).all()
    has_cell = mask.any(1)
    torch.testing.assert_close(p.sum(1), has_cell.double())
    residual = point - p
    gain = (residual - (residual * p).sum(1, keepdim=True)).masked_fill(~mask, -1)
    assert gain.max() <= 1e-9 * max(scale, 1)


def test_capped_projection_is_the_point_itself_inside() -> None:
    point = torch.tensor([[0.25, 0.5, 1e-9], [0.0, 1.0, 0.0]])
    assert torch.equal(project_onto_capped_simplex(point, torch.ones_like(point).bool()), point)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_masked_cells_play_no_part(projection: Projection) -> None:
    point, mask = random_rows(1.0)
    elsewhere = point.where(mask, float("nan"))
    assert torch.equal(projection(point, mask), projection(elsewhere, mask))
    assert torch.equal(projection(point[:1], mask[:1]), torch.zeros(1, 9, dtype=point.dtype))


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_derivative(projection: Projection) -> None:
    point, mask = random_rows(1.0)
    point = point[:12].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: projection(x, mask[:12]), point)
    assert torch.autograd.gradgradcheck(lambda x: projection(x, mask[:12]), point)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_fully_masked_rows_have_no_gradient(projection: Projection) -> None:
    point = torch.tensor([[0.5, 0.3, 0.2, 0.1]]).repeat(2, 1).requires_grad_()
    mask = torch.tensor([[False] * 4, [True] * 4])
    (gradient,) = torch.autograd.grad((projection(point, mask) * torch.arange(4)).sum(), point)
    assert torch.equal(gradient[0], torch.zeros(4))
    assert gradient[1].abs().sum() > 0


def test_inputs_of_any_shape_stay_as_they_are() -> None:
    point = torch.randn(4, 2, 3, 5).transpose(0, 3)
    mask = torch.rand(1, 2, 3, 4) < 0.8
    before = point.clone()
    result = project_onto_simplex(point, mask)
    assert torch.equal(point, before)
    assert result.shape == point.shape
    for index in range(5):
        assert torch.equal(result[index], project_onto_simplex(point[index].contiguous(), mask[0]))
