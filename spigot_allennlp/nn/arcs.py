"""What all functions over dependency arcs share: `[batch, modifier, head]`, position 0 is ROOT."""

import torch

from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE

# Sums count scores below this as -inf.
FORBIDDEN = -1e30


def arc_mask(mask: torch.Tensor) -> torch.Tensor:
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


def finite_arc_scores(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    The scores, with `FORBIDDEN`, a finite number, for arcs that no tree has or that -inf forbids: no gradient of a sum
    over trees is NaN then. Raises `ValueError` where a score is NaN or +inf.
    """
    scores = scores.where(arc_mask(mask), FORBIDDEN)
    if not (usable := (scores < float("inf")).flatten(1).all(1)).all():
        raise not_a_score(int((~usable).int().argmax()))
    return scores.where(scores > FORBIDDEN, FORBIDDEN)


def check_arc_shapes(scores: torch.Tensor, mask: torch.Tensor) -> None:
    """Raises `ValueError` unless scores are floating, `(batch, length, length)`, and mask bool, `(batch, length)`."""
    if scores.dim() != 3 or scores.size(1) != scores.size(2) or not scores.is_floating_point():
        raise ValueError(
            f"scores must be floating, (batch, length, length), but are {scores.dtype}, {tuple(scores.shape)}"
        )
    if not scores.size(1):
        raise ValueError("sentences have no position 0, which is ROOT")
    if mask.shape != scores.shape[:2] or mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool, {tuple(scores.shape[:2])}, but is {mask.dtype}, {tuple(mask.shape)}")


def not_a_score(sentence: int) -> ValueError:
    return ValueError(f"sentence {sentence} has a score that is NaN or +inf")


def no_structure(sentence: int) -> ValueError:
    return ValueError(f"sentence {sentence} has no legal structure: too many of its scores are -inf, or below -1e30")


def raise_for_status(status: int, sentence: int) -> None:
    """Raises what the status that a kernel returns stands for."""
    if status == NOT_A_SCORE:
        raise not_a_score(sentence)
    if status == NO_STRUCTURE:
        raise no_structure(sentence)
