"""The cells of semantic graphs, `[batch, predicate, argument, label]`, position 0 being ROOT."""

import torch
from torch.nn.functional import pad

from spigot_allennlp.nn.arcs import arc_mask


def with_predicates(own: torch.Tensor, arcs: torch.Tensor) -> torch.Tensor:
    """`arcs`, `(..., arguments, labels)`, with the predicates' `own` parts, `(...)`, for the argument 0."""
    column = pad(own[..., None, None], (0, arcs.size(-1) - 1))
    return torch.cat((column, arcs[..., 1:, :]), -2)


def possible_arcs(mask: torch.Tensor) -> torch.Tensor:
    """Which pairs may have an arc, `(batch, length, length)` bool, from `mask`, `(batch, length)` bool."""
    return arc_mask(mask).transpose(1, 2)


def best_scores(scores: torch.Tensor, mask: torch.Tensor, top_label: int | None) -> torch.Tensor:
    """
    The score of every pair's best label, `(batch, length, length)`, -inf where no arc may be. The label of tops, where
    there is one, is the only one of ROOT's arguments, and of no others.
    """
    best = _best_of_words(scores, top_label)
    if top_label is not None:
        best[:, 0] = scores[:, 0, :, top_label]
    return best.masked_fill(~possible_arcs(mask), -torch.inf)


def best_allowed_labels(scores: torch.Tensor, arcs: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """
    The best label of each of the `arcs`, `(batch, length, length)` bool, among those that are `allowed` for its
    predicate, `(length, labels)` bool: `(batch, length, length)` long, 0 where there is no arc.
    """
    # Shape: (number of arcs, labels)
    options = scores[arcs]
    if not allowed.all():
        options.masked_fill_(~allowed[arcs.nonzero()[:, 1]], -torch.inf)
    label = torch.zeros_like(arcs, dtype=torch.long)
    label[arcs] = options.argmax(1)
    return label


def _best_of_words(scores: torch.Tensor, top_label: int | None) -> torch.Tensor:
    """The best score of all labels but that of tops, `(batch, length, length)`."""
    if top_label is None:
        return scores.amax(3)
    others = [labels.amax(3) for labels in (scores[..., :top_label], scores[..., top_label + 1 :]) if labels.size(3)]
    if not others:
        return torch.full_like(scores[..., 0], -torch.inf)
    return torch.maximum(others[0], others[-1])
