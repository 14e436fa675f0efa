"""What a structure makes of its scores before it reckons with them."""

import torch

from spigot_allennlp.nn.errors import no_structure, not_a_score

# Stands for a score of -inf where sums are differentiated: no gradient is NaN then. Sums count scores below as -inf.
FORBIDDEN = -1e30


def values_of_parts(scores: torch.Tensor, parts: torch.Tensor) -> torch.Tensor:
    """
    The scores, float64, and -inf where `parts`, bool and of their shape, is False. Raises `ValueError` where one that
    counts is NaN or +inf.
    """
    values = scores.double().masked_fill(~parts, -torch.inf)
    for sentence in (~(values < torch.inf).flatten(1).all(1)).nonzero():
        raise not_a_score(int(sentence))
    return values


def checked_total(total: torch.Tensor) -> torch.Tensor:
    """The best totals or the log-sums, `(batch,)`, themselves. Raises `ValueError` for a sentence without structure."""
    for sentence in (total < FORBIDDEN / 2).nonzero():
        raise no_structure(int(sentence))
    return total
