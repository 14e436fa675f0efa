"""Projections onto the probability simplex and onto the capped simplex, batched and masked."""

from typing import Any

import torch

from spigot_allennlp.nn.shapes import Float, Tensor

Rows = Float[Tensor, "*rows size"]


def project_onto_simplex(point: Rows, mask: torch.Tensor) -> Rows:
    """
    The nearest point of the probability simplex, for every vector along the last axis: `argmin_p ||p - x||^2` subject
    to `p >= 0` and `sum p = 1`, over the cells that `mask` allows.

    It is `max(x - tau, 0)`, where `tau` makes the sum 1. On the CPU, `tau` is found by the method of
    [Michelot, 1986](https://doi.org/10.1007/BF00938486), elsewhere by sorting, as in
    [Duchi et al., 2008](https://dl.acm.org/doi/10.1145/1390156.1390191), figure 1: both exact. The largest entry is
    subtracted first, so that large inputs lose no precision. Differentiable (the derivative is that of
    [sparsemax](https://arxiv.org/abs/1602.02068), section 2.5), also twice.

    # Parameters

    point : `torch.Tensor`
        Shape `(..., size)`, floating. Not changed. float16 and bfloat16 are projected in float32.
    mask : `torch.Tensor`
        Bool, broadcastable to the shape of `point`; what stands in the other cells plays no part.

    # Returns

    `torch.Tensor`
        Shape, dtype and device of `point`; 0 in masked cells. A vector without any allowed cell gives zeros.
    """
    return _SimplexProjection.apply(point, mask, False)


def project_onto_capped_simplex(point: Rows, mask: torch.Tensor) -> Rows:
    """
    As [`project_onto_simplex`](#project_onto_simplex), but onto `p >= 0`, `sum p <= 1`: negative entries are clipped,
    and where what remains sums to more than 1, the simplex is the nearest face.
    """
    return _SimplexProjection.apply(point, mask, True)


class _SimplexProjection(torch.autograd.Function):
    """`p = max(x - tau, 0)`, so that `dp = dx - dtau` on the support of `p`; `tau = 0` where the cap is not reached."""

    @staticmethod
    def forward(ctx: Any, point: torch.Tensor, mask: torch.Tensor, capped: bool) -> torch.Tensor:
        values = point.detach().to(torch.promote_types(point.dtype, torch.float32))
        project = _by_kernel if point.is_cpu else _by_sorting
        projection, tight = project(values, mask.expand_as(point), capped)
        ctx.save_for_backward(projection > 0, tight)
        return projection.to(point.dtype)

    @staticmethod
    def backward(ctx: Any, d_projection: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        support, tight = ctx.saved_tensors
        d_support = d_projection.where(support, 0.0)
        mean = d_support.sum(dim=-1, keepdim=True) / support.sum(dim=-1, keepdim=True).clamp(min=1)
        return d_support - mean.where(support & tight, 0.0), None, None


def _by_kernel(point: torch.Tensor, mask: torch.Tensor, capped: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The projection, and where the entries had to be brought to the sum 1, `(..., 1)` bool."""
    from spigot_allennlp.nn.kernels.simplex import project_rows_onto_simplex

    point, mask = point.contiguous(), mask.contiguous()
    projection = torch.empty_like(point)
    tight = torch.empty((*point.shape[:-1], 1), dtype=torch.bool)
    rows = tight.numel(), point.size(-1)
    project_rows_onto_simplex(
        point.numpy().reshape(rows),
        mask.numpy().reshape(rows),
        capped,
        projection.numpy().reshape(rows),
        tight.numpy().reshape(-1),
    )
    return projection, tight


def _by_sorting(point: torch.Tensor, mask: torch.Tensor, capped: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """As [`_by_kernel`](#_by_kernel), on any device."""
    point = point.where(mask, float("-inf"))
    # Shape: (..., 1)
    largest = point.amax(dim=-1, keepdim=True)
    tight = largest > float("-inf")
    if capped:
        tight = tight & (point.clamp(min=0).sum(dim=-1, keepdim=True) > 1)
    shifted = point - largest.where(tight, 0.0)
    # The support is the longest prefix of the sorted entries of which each exceeds its threshold. Entries more than 1
    # below the largest are never in it, so that the sums that count are small, whatever the scale.
    descending = shifted.sort(dim=-1, descending=True).values
    surplus = descending.cumsum(dim=-1) - 1
    rank = torch.arange(1, point.size(-1) + 1, dtype=point.dtype, device=point.device)
    size = (descending * rank > surplus).sum(dim=-1, keepdim=True).clamp(min=1)
    threshold = (surplus.gather(-1, size - 1) / size).where(tight, 0.0)
    return (shifted - threshold).clamp(min=0), tight
