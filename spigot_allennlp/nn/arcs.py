"""What all functions over dependency arcs share: `[batch, modifier, head]`, position 0 is ROOT."""

import torch

from spigot_allennlp.nn.errors import check_scores, check_shapes
from spigot_allennlp.nn.kernels import FORBIDDEN
from spigot_allennlp.nn.shapes import Arcs, Bool, Mask, Tensor

ArcParts = Bool[Tensor, "batch length length"]


def arc_mask(mask: Mask) -> ArcParts:
    """
    The arcs that a tree over the tokens of `mask` may have: no padding, no arc into ROOT, no token its own head.

    # Parameters

    mask : `torch.Tensor`
        Shape `(batch_size, length)`, bool, True for ROOT and tokens. ROOT's own bit is not consulted.

    # Returns

    `torch.Tensor`
        Shape `(batch_size, length, length)`, bool, indexed `[batch, modifier, head]`.
    """
    tokens, heads = mask.clone(), mask.clone()
    tokens[:, 0], heads[:, 0] = False, True
    arcs = tokens.unsqueeze(2) & heads.unsqueeze(1)
    arcs.diagonal(dim1=1, dim2=2).fill_(False)
    return arcs


def at_least_one(count: torch.Tensor) -> torch.Tensor:
    """
    What a sum over arcs is divided by to be their mean, where there may be none: like `count`, with a gradient where
    that is above 1. At exactly 1 there is none, whereas PyTorch's releases differ in what `clamp` does there.
    """
    return count.where(count > 1, 1.0)


def finite_arc_scores(scores: Arcs, mask: Mask) -> Arcs:
    """
    The scores, with `FORBIDDEN`, a finite number, for arcs that no tree has or that -inf forbids: no gradient of a sum
    over trees is NaN then. Raises `ValueError` where a score is NaN, +inf or too large to be summed.
    """
    scores = scores.where(arc_mask(mask), FORBIDDEN)
    check_scores(scores, to_be_summed=True)
    return scores.where(scores > FORBIDDEN, FORBIDDEN)


def check_arc_shapes(scores: torch.Tensor, mask: torch.Tensor) -> None:
    """Raises `ValueError` unless scores are floating, `(batch, length, length)`, and mask bool, `(batch, length)`."""
    check_shapes(scores, mask, "batch", "length", "length", has_root=True)
