"""What all structures say of scores that they cannot use, in one phrasing."""

import torch

from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE


def check_shapes(
    scores: torch.Tensor, mask: torch.Tensor, *axes: str, has_root: bool = False, mask_axes: int = 2
) -> None:
    """
    Raises `ValueError` unless `scores` is a floating tensor with these axes, of which those of one name have one size,
    and `mask` a bool one with the first `mask_axes` of them. No axis but the batch, rows, columns and a length without
    ROOT may be empty.
    """
    sizes = dict(zip(axes, scores.shape, strict=False))
    if scores.dim() != len(axes) or scores.shape != tuple(map(sizes.get, axes)) or not scores.is_floating_point():
        raise ValueError(f"expected floating scores {_shape(*axes)}, found {scores.dtype}, {_shape(*scores.shape)}")
    shape = scores.shape[:mask_axes]
    if mask.shape != shape or mask.dtype != torch.bool:
        raise ValueError(f"expected a bool mask {_shape(*shape)}, found {mask.dtype}, {_shape(*mask.shape)}")
    for axis, size in sizes.items():
        if not size and axis not in ("batch", "length", "rows", "columns"):
            raise ValueError(f"expected at least one of {axis}, found none")
    if has_root and not sizes["length"]:
        raise ValueError("expected ROOT at position 0 of every sentence, found no position")


def _shape(*axes: str | int) -> str:
    return f"({', '.join(map(str, axes))})"


def not_a_score(sentence: int) -> ValueError:
    return ValueError(f"expected scores below +inf, found NaN or +inf in sentence {sentence}")


def no_structure(sentence: int) -> ValueError:
    return ValueError(f"sentence {sentence} has no legal structure: too many of its scores are -inf, or below -1e30")


def raise_for_status(status: int, sentence: int) -> None:
    """Raises what the status that a kernel returns stands for."""
    if status == NOT_A_SCORE:
        raise not_a_score(sentence)
    if status == NO_STRUCTURE:
        raise no_structure(sentence)
