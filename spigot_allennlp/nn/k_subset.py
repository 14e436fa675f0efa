"""
Subsets of `k` positions of a sentence, as when a rationale of `k` words is chosen: the best one, the sum over all, and
the projection onto their convex hull.

`scores` is `(batch, length)`, the worth of each position; `mask`, `(batch, length)` bool, is True for tokens. There is
no ROOT. Padding is ignored in inputs and 0 in outputs. In a sentence of fewer than `k` tokens all of them are chosen.
"""

import torch
from torch.nn.functional import pad

from spigot_allennlp.nn.arcs import no_structure, not_a_score

# Stands for a score of -inf where sums are differentiated: no gradient is NaN then.
FORBIDDEN = -1e30
# Halvings that bring an interval of length 1 below the resolution of float64.
BISECTIONS = 54


def best_k_subset(scores: torch.Tensor, mask: torch.Tensor, k: int) -> torch.Tensor:
    """
    The `k` positions with the greatest scores.

    # Parameters

    scores : `torch.Tensor`, required.
        `(batch, length)`, any floating dtype; -inf forbids a position.
    mask : `torch.Tensor`, required.
        `(batch, length)` bool, True for tokens.
    k : `int`, required.
        How many positions to choose, positive.

    # Returns

    `torch.Tensor`
        0/1, of the shape, dtype and device of `scores`. Of several best subsets, any one.

    # Raises

    `ValueError` where a score in use is NaN or +inf, or too few are not -inf, naming the sentence by its index.
    """
    values, _ = _checked_values(scores.detach(), mask, k)
    best, position = values.topk(min(k, values.size(1)), 1)
    return torch.zeros_like(scores).scatter_(1, position, (best > -torch.inf).to(scores.dtype))


def k_subset_log_partition(scores: torch.Tensor, mask: torch.Tensor, k: int) -> torch.Tensor:
    """
    `log sum_z exp(scores . z)` over all subsets of `k` positions, `(batch,)`, differentiable in `scores`: the log of an
    elementary symmetric polynomial, summed position by position in float64 ([Kulesza & Taskar, 2012
    ](https://arxiv.org/abs/1207.6083), algorithm 7). Parameters and errors are those of
    [`best_k_subset`](#best_k_subset).
    """
    values, size = _checked_values(scores, mask, k)
    return _log_sums_before(values, k)[-1].gather(1, size.unsqueeze(1)).squeeze(1).to(scores.dtype)


def k_subset_marginals(scores: torch.Tensor, mask: torch.Tensor, k: int) -> torch.Tensor:
    """
    The probability of every position under `p(z) ~ exp(scores . z)`, of the shape of `scores` and differentiable, from
    the log-sums over what is chosen before and after it. Parameters and errors are those of
    [`best_k_subset`](#best_k_subset).
    """
    values, size = _checked_values(scores, mask, k)
    before = _log_sums_before(values, k)
    total = before.pop().gather(1, size.unsqueeze(1))
    if not before:
        return torch.zeros_like(scores)
    # Over what is chosen after a position, given how many are chosen up to it. Shape of each: (batch, k + 1)
    after = [torch.full_like(before[0], FORBIDDEN).scatter(1, size.unsqueeze(1), 0)]
    for value in reversed(values.clamp(min=FORBIDDEN).unbind(1)[1:]):
        chosen = pad(after[-1][:, 1:], (0, 1), value=FORBIDDEN) + value.unsqueeze(1)
        after.append(torch.logaddexp(after[-1], chosen))
    # Shape: (batch, length, k)
    ways = torch.stack(before, 1)[:, :, :-1] + torch.stack(after[::-1], 1)[:, :, 1:]
    return (ways.logsumexp(2) + values - total).exp().to(scores.dtype)


def project_onto_k_subsets(point: torch.Tensor, mask: torch.Tensor, k: int) -> torch.Tensor:
    """
    `argmin_z ||z - point||^2  s.t.  0 <= z <= 1,  sum z = k`, which is the convex hull of all subsets of `k` positions.

    The solution is `clip(point - t, 0, 1)`, whose sum falls with `t`; `t` is at most 1 below the `k`-th largest value.
    Bisection finds which positions are strictly between 0 and 1, and they give the exact `t`. Differentiable.
    Parameters and errors are those of [`best_k_subset`](#best_k_subset); the result is like `point`.
    """
    values, size = _checked_values(point, mask, k)
    # Shape: (batch, 1)
    size = size.unsqueeze(1)
    with torch.no_grad():
        largest = pad(values, (0, 1), value=-torch.inf).topk(min(k, values.size(1) + 1), 1).values
        reference = largest.gather(1, (size - 1).clamp(min=0)).clamp(min=FORBIDDEN)
        low, high = torch.full_like(reference, -1.0), torch.zeros_like(reference)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            enough = (values - reference - middle).clamp(0, 1).sum(1, keepdim=True) >= size
            low, high = middle.where(enough, low), high.where(enough, middle)
        full = values - reference - low >= 1
        between = (values - reference > low) & ~full
    values = (values - reference).masked_fill(~between, 0)
    threshold = (values.sum(1, keepdim=True) + full.sum(1, keepdim=True) - size) / between.sum(1, keepdim=True).clamp(1)
    return (values - threshold).where(between, full.double()).to(point.dtype)


def _checked_values(scores: torch.Tensor, mask: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The scores of tokens, float64, with -inf elsewhere; and how many to choose per sentence, `(batch,)`."""
    if scores.dim() != 2 or not scores.is_floating_point():
        raise ValueError(f"scores must be floating, (batch, length), but are {scores.dtype}, {tuple(scores.shape)}")
    if mask.shape != scores.shape or mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool, {tuple(scores.shape)}, but is {mask.dtype}, {tuple(mask.shape)}")
    values = scores.double().masked_fill(~mask, -torch.inf)
    size = mask.sum(1).clamp(max=k)
    for sentence in (~(values < torch.inf)).any(1).nonzero():
        raise not_a_score(int(sentence))
    for sentence in ((values > -torch.inf).sum(1) < size).nonzero():
        raise no_structure(int(sentence))
    return values, size


def _log_sums_before(values: torch.Tensor, k: int) -> list[torch.Tensor]:
    """
    The log-sums over the ways to choose 0, ..., `k` of the positions before each one, and at last of all positions;
    `(batch, k + 1)` each.
    """
    nothing = values.new_full((len(values), k + 1), FORBIDDEN)
    nothing[:, 0] = 0
    log_sums = [nothing]
    for value in values.clamp(min=FORBIDDEN).unbind(1):
        chosen = pad(log_sums[-1][:, :-1], (1, 0), value=FORBIDDEN) + value.unsqueeze(1)
        log_sums.append(torch.logaddexp(log_sums[-1], chosen))
    return log_sums
