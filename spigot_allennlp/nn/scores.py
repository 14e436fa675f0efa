"""What a structure makes of its scores before it reckons with them."""

import torch

from spigot_allennlp.nn.errors import check_scores


def values_of_parts(scores: torch.Tensor, parts: torch.Tensor, to_be_summed: bool = False) -> torch.Tensor:
    """
    The scores, float64, and -inf where `parts`, bool and of their shape, is False. Raises `ValueError` where one that
    counts is NaN or +inf or, if they are `to_be_summed`, too large for that.
    """
    values = scores.double().masked_fill(~parts, -torch.inf)
    check_scores(values, to_be_summed)
    return values
