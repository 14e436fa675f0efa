"""Label sequences scored by pairs of neighbours: the nearest point of their convex hull."""

from typing import Any

import torch

from spigot_allennlp.nn.active_set import Argmax, project_onto_hull
from spigot_allennlp.nn.errors import check_shapes, raise_for_status
from spigot_allennlp.nn.shapes import Float, Mask, Tensor

LabelPairs = Float[Tensor, "batch length labels labels"]


def project_onto_sequences(point: LabelPairs, mask: Mask, argmax: Argmax) -> LabelPairs:
    """
    `argmin_x ||x - point||^2  s.t.  x in conv(Z)`, where `Z` are the label sequences of a sentence, by their pairs of
    neighbours. A sequence is a path through layers of labels, and `conv(Z)` are the flows of 1 through them: what comes
    into a label goes out of it.

    Newton's method finds the potentials of labels that are the multipliers of that, along a path of barriers as in
    [Boyd & Vandenberghe, 2004](https://web.stanford.edu/~boyd/cvxbook/), chapter 11, and then exactly, without one.
    About 30 steps of `O(length labels^3)` are needed, whatever the length. It runs serially on the CPU, in float64; the
    algorithm: [`kernels/chain_flow.py`](./kernels/chain_flow.md). A sentence that should defy it is projected by the
    general [active-set method](./active_set.md).

    # Parameters

    point : `torch.Tensor`
        Shape `(batch, length, labels, labels)`, floating, on any device, indexed `[batch, position, previous,
        current]`. -inf forbids a pair. Cells that no sequence has are ignored. Not changed.
    mask : `torch.Tensor`
        Shape `(batch, length)`, bool, True for tokens.
    argmax : `Callable[[torch.Tensor, torch.Tensor], torch.Tensor]`
        That of the sequences, for the general method.

    # Returns

    `torch.Tensor`
        Shape, dtype and device of `point`. Differentiable once, exactly: its Jacobian is the projection onto the
        directions of the face on which it lies.

    # Raises

    `ValueError` naming the sentence where a cell of the point is NaN or +inf, or where no sequence is left.
    """
    return _SequenceProjection.apply(point, mask, argmax)


class _SequenceProjection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, point: torch.Tensor, mask: torch.Tensor, argmax: Argmax) -> torch.Tensor:
        from spigot_allennlp.nn.kernels import chain_hull

        check_shapes(point, mask, "batch", "length", "labels", "labels")
        values = point.detach().double().cpu().contiguous()
        mask = mask.cpu().contiguous()
        projection = torch.zeros_like(values)
        done = torch.ones(len(values), dtype=torch.bool)
        status, sentence = chain_hull.project_onto_sequences(
            values.numpy(), mask.numpy(), projection.numpy(), done.numpy()
        )
        raise_for_status(status, sentence)
        ctx.rest = (~done).nonzero().squeeze(1)
        if len(ctx.rest):
            ctx.active_set = project_onto_hull(values[ctx.rest], argmax, mask[ctx.rest])
            projection[ctx.rest] = ctx.active_set.projection
        ctx.save_for_backward(projection, mask)
        return projection.to(point.device, point.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_projection: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        from spigot_allennlp.nn.kernels import chain_hull

        projection, mask = ctx.saved_tensors
        gradient = d_projection.double().cpu().contiguous()
        d_point = torch.zeros_like(gradient)
        chain_hull.apply_jacobian(projection.numpy(), mask.numpy(), gradient.numpy(), d_point.numpy())
        if len(ctx.rest):
            d_point[ctx.rest] = ctx.active_set.vjp(gradient[ctx.rest])
        return d_point.to(d_projection.device, d_projection.dtype), None, None
