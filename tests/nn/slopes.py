"""Derivatives of piecewise linear functions, held against central differences."""

from collections.abc import Callable

import torch

STEP = 1e-6


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def compare_slopes(
    project: Callable[[torch.Tensor], torch.Tensor], points: torch.Tensor, directions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    For random weights, the slope of `(project(points) * weights).sum()` in the directions, `(batch,)`, by backward and
    by central differences; and whether they can be compared, which they cannot where the function bends in between.
    """
    weights = random(*points.shape, seed=99)
    points = points.clone().requires_grad_()
    here = project(points)
    (gradient,) = torch.autograd.grad((here * weights).sum(), points)
    there, back = (project(points.detach() + sign * STEP * directions) for sign in (1, -1))
    ahead, behind = (
        (difference * weights).flatten(1).sum(1) / STEP for difference in (there - here.detach(), here.detach() - back)
    )
    smooth = (ahead - behind).abs() <= 1e-5 * ahead.abs().clamp(min=1)
    return (gradient * directions).flatten(1).sum(1), (ahead + behind) / 2, smooth
