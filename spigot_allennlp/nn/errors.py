"""What all structures say of scores that they cannot use, in one phrasing."""

import torch

from spigot_allennlp.nn.kernels import FORBIDDEN, LARGEST_SCORE, NO_STRUCTURE, NOT_A_SCORE, TOO_LARGE


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


def check_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"expected {name} of at least 1, found {value}")


def _shape(*axes: str | int) -> str:
    return f"({', '.join(map(str, axes))})"


def check_scores(scores: torch.Tensor, to_be_summed: bool = False) -> None:
    """
    Raises `ValueError` where `scores`, `(batch, ...)`, which are -inf where there is no part, are NaN or +inf or, where
    they are `to_be_summed`, exceed `LARGEST_SCORE`.
    """
    largest = LARGEST_SCORE if to_be_summed else torch.finfo(scores.dtype).max
    for sentence in (~(scores <= largest).flatten(1).all(1)).nonzero():
        is_score = bool((scores[sentence] < torch.inf).all())
        raise (too_large if is_score else not_a_score)(int(sentence))


def check_totals(log_partition: torch.Tensor, length: int) -> None:
    """
    Raises `ValueError` where every structure of a sentence has a part that is forbidden, or one that is worse than
    `-LARGEST_SCORE`, so that differences between structures are lost in the float64 of their sums. A part that is worse
    than that does no harm where there is a structure without it.
    """
    for sentence in (log_partition < -LARGEST_SCORE * length).nonzero():
        is_forbidden = bool(log_partition[sentence] < FORBIDDEN / 2)
        raise (no_structure if is_forbidden else too_large)(int(sentence))


def not_a_score(sentence: int) -> ValueError:
    return ValueError(f"expected scores below +inf, found NaN or +inf in sentence {sentence}")


def no_structure(sentence: int) -> ValueError:
    return ValueError(f"sentence {sentence} has no legal structure: too many of its scores are -inf, or below -1e30")


def too_large(sentence: int) -> ValueError:
    return ValueError(
        f"expected scores up to {LARGEST_SCORE:.0e} in absolute value, of which sums over structures can tell the "
        f"differences, found larger ones in sentence {sentence}"
    )


def raise_for_status(status: int, sentence: int) -> None:
    """Raises what the status that a kernel returns stands for."""
    if status == NOT_A_SCORE:
        raise not_a_score(sentence)
    if status == NO_STRUCTURE:
        raise no_structure(sentence)
    if status == TOO_LARGE:
        raise too_large(sentence)
