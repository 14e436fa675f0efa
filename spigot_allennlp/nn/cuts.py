"""Dependency trees whose arcs may cross: the nearest point of their convex hull."""

from functools import partial
from typing import Any

import torch

from spigot_allennlp.nn.active_set import project_onto_hull
from spigot_allennlp.nn.arcs import check_arc_shapes
from spigot_allennlp.nn.decoding import decode_on_host
from spigot_allennlp.nn.errors import raise_for_status
from spigot_allennlp.nn.shapes import Arcs, Mask

# Rounds of new cuts, after which the general method takes over. Twenty are many.
MAX_ROUNDS = 200


def project_onto_arborescences(point: Arcs, mask: Mask, single_root: bool = False) -> Arcs:
    """
    `argmin_x ||x - point||^2  s.t.  x in conv(Z)`, where `Z` are the dependency trees of a sentence, crossing arcs
    allowed. By [Edmonds, 1967](https://doi.org/10.6028/jres.071B.032),

        conv(Z) = { x >= 0,  sum_head x[token, head] = 1 for each token,  x(S) <= |S| - 1 for each set S of tokens },

    where `x(S)` is the sum over arcs inside S; with a single root also `x(all tokens) = |all tokens| - 1`. It is found
    by cutting planes: a Newton method in the dual of the sets that are known, and minimum cuts that find more of them
    (as the separation of [Padberg & Wolsey, 1983](https://doi.org/10.1016/S0304-0208(08)73385-8)), serially on the CPU
    in float64. The algorithms: [`kernels/cuts.py`](./kernels/cuts.md). A sentence that should defy them is projected by
    the general [active-set method](./active_set.md).

    # Parameters

    point : `torch.Tensor`
        Shape `(batch, length, length)`, floating, on any device, indexed `[batch, modifier, head]`; position 0 is ROOT.
        -inf forbids an arc. Row 0, the diagonal and padding are ignored. Not changed.
    mask : `torch.Tensor`
        Shape `(batch, length)`, bool, True for ROOT and tokens.
    single_root : `bool`, optional (default = `False`)
        Whether exactly one token hangs from ROOT.

    # Returns

    `torch.Tensor`
        Shape, dtype and device of `point`. Differentiable once, exactly: its Jacobian is the projection onto the
        directions of the face on which it lies.

    # Raises

    `ValueError` naming the sentence where a cell of the point is NaN or +inf, or where no tree is left.
    """
    return _ArborescenceProjection.apply(point, mask, single_root)


class _ArborescenceProjection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, point: torch.Tensor, mask: torch.Tensor, single_root: bool) -> torch.Tensor:
        from spigot_allennlp.nn.kernels import cuts

        check_arc_shapes(point, mask)
        values = point.detach().double().cpu().contiguous()
        mask = mask.cpu().contiguous()
        projection = torch.zeros_like(values)
        done = torch.ones(len(values), dtype=torch.bool)
        status, sentence, held_by, first = cuts.project_onto_arborescences(
            values.numpy(), mask.numpy(), single_root, MAX_ROUNDS, projection.numpy(), done.numpy()
        )
        raise_for_status(status, sentence)
        ctx.rest = (~done).nonzero().squeeze(1)
        if len(ctx.rest):
            # What no tree is left for is told from what is hard, and named, by the argmax.
            argmax = partial(_argmax, single_root=single_root)
            argmax(values, mask)
            ctx.active_set = project_onto_hull(values[ctx.rest], argmax, mask[ctx.rest])
            projection[ctx.rest] = ctx.active_set.projection
        ctx.held_by = held_by, first
        ctx.save_for_backward(projection)
        return projection.to(point.device, point.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_projection: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        from spigot_allennlp.nn.kernels import cuts

        (projection,) = ctx.saved_tensors
        gradient = d_projection.double().cpu().contiguous()
        d_point = torch.zeros_like(gradient)
        cuts.apply_jacobian(projection.numpy(), *ctx.held_by, gradient.numpy(), d_point.numpy())
        if len(ctx.rest):
            d_point[ctx.rest] = ctx.active_set.vjp(gradient[ctx.rest])
        return d_point.to(d_projection.device, d_projection.dtype), None, None


def _argmax(scores: torch.Tensor, mask: torch.Tensor, single_root: bool) -> torch.Tensor:
    from spigot_allennlp.nn.kernels.chu_liu_edmonds import maximum_arborescences

    return decode_on_host(maximum_arborescences, scores, mask, single_root)
