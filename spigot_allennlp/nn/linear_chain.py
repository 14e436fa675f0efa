"""
Label sequences scored by pairs of neighbours, as in a linear-chain CRF: the best one, and the sum over all.

Axes throughout: `scores[batch, position, previous, current]` is the worth of label `current` at a position whose
predecessor has label `previous`; `mask`, `(batch, length)` bool, is True for tokens. There is no ROOT. The predecessor
is the nearest token to the left, whatever the mask leaves out in between. The first token of a sentence has none: its
cells are `[batch, position, 0, current]`, and those with another `previous` are ignored in inputs and 0 in outputs, as
padding is. A sequence thus has one cell per token.
"""

import torch

from spigot_allennlp.nn.arcs import no_structure, not_a_score

# Stands for a score of -inf where sums are differentiated: no gradient is NaN then.
FORBIDDEN = -1e30


def chain_parts(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    Which cells a sequence may use: bool, of the shape of `scores`.

    # Raises

    `ValueError` unless `scores` is a floating `(batch, length, labels, labels)` and `mask` a bool `(batch, length)`.
    """
    if scores.dim() != 4 or scores.size(2) != scores.size(3) or not scores.is_floating_point():
        raise ValueError(
            f"scores must be floating, (batch, length, labels, labels), but are {scores.dtype}, {tuple(scores.shape)}"
        )
    if mask.shape != scores.shape[:2] or mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool, {tuple(scores.shape[:2])}, but is {mask.dtype}, {tuple(mask.shape)}")
    first = mask & (mask.cumsum(1) == 1)
    follows_nothing = torch.arange(scores.size(2), device=mask.device) == 0
    # Shape: (batch, length, labels, 1)
    parts = mask.unsqueeze(2) & (~first.unsqueeze(2) | follows_nothing)
    return parts.unsqueeze(3).expand_as(scores)


def best_label_sequence(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    The sequence with the greatest sum of scores, by the algorithm of [Viterbi, 1967
    ](https://doi.org/10.1109/TIT.1967.1054010), in time `O(length labels^2)`.

    # Parameters

    scores : `torch.Tensor`, required.
        `(batch, length, labels, labels)`, any floating dtype, indexed `[batch, position, previous, current]`; -inf
        forbids a part.
    mask : `torch.Tensor`, required.
        `(batch, length)` bool, True for tokens.

    # Returns

    `torch.Tensor`
        0/1, of the shape, dtype and device of `scores`, with one 1 per token. Of several best sequences, any one.

    # Raises

    `ValueError` where a score in use is NaN or +inf, or where no sequence is left, naming the sentence by its index.
    """
    values = _checked_values(scores.detach(), mask)
    # The token before the first counts as one with label 0. Shape: (batch, labels)
    best = _start(values, -torch.inf)
    previous_labels = []
    for position, is_token in enumerate(mask.unbind(1)):
        extended, previous = (best.unsqueeze(2) + values[:, position]).max(1)
        best = extended.where(is_token.unsqueeze(1), best)
        previous_labels.append(previous)
    total, label = best.max(1)
    for sentence in (total == -torch.inf).nonzero():
        raise no_structure(int(sentence))

    z = torch.zeros_like(scores)
    sentences = torch.arange(len(scores), device=scores.device)
    for position in reversed(range(len(previous_labels))):
        is_token = mask[:, position]
        previous = previous_labels[position][sentences, label]
        z[sentences, position, previous, label] = is_token.to(z.dtype)
        label = previous.where(is_token, label)
    return z


def chain_log_partition(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    `log sum_z exp(scores . z)` over all sequences, `(batch,)`, differentiable in `scores`, by the forward algorithm in
    float64. Parameters and errors are those of [`best_label_sequence`](#best_label_sequence).
    """
    values = _checked_values(scores, mask).clamp(min=FORBIDDEN)
    return _checked_total(_forward(values, mask)[-1]).to(scores.dtype)


def chain_marginals(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    The probability of every pair of neighbouring labels under `p(z) ~ exp(scores . z)`, of the shape of `scores` and
    differentiable, by the forward-backward algorithm ([Rabiner, 1989](https://doi.org/10.1109/5.18626), section III.A)
    in float64. Parameters and errors are those of [`best_label_sequence`](#best_label_sequence).
    """
    values = _checked_values(scores, mask).clamp(min=FORBIDDEN)
    forward = _forward(values, mask)
    total = _checked_total(forward.pop())
    if not forward:
        return torch.zeros_like(scores)
    # What can come after a position, given its label. Shape of each: (batch, labels)
    backward = [torch.zeros_like(total).unsqueeze(1).expand(-1, scores.size(3))]
    for position in reversed(range(1, scores.size(1))):
        extended = (values[:, position] + backward[-1].unsqueeze(1)).logsumexp(2)
        backward.append(extended.where(mask[:, position].unsqueeze(1), backward[-1]))
    before = torch.stack(forward, 1).unsqueeze(3)
    after = torch.stack(backward[::-1], 1).unsqueeze(2)
    marginals = (before + values + after - total.view(-1, 1, 1, 1)).exp()
    return marginals.masked_fill(~chain_parts(scores, mask), 0).to(scores.dtype)


def _checked_values(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The scores of the parts, float64, and -inf elsewhere."""
    values = scores.double().masked_fill(~chain_parts(scores, mask), -torch.inf)
    for sentence in (~(values < torch.inf).flatten(1).all(1)).nonzero():
        raise not_a_score(int(sentence))
    return values


def _start(values: torch.Tensor, nothing: float) -> torch.Tensor:
    """Before the first token there is label 0, and at no cost: `(batch, labels)`."""
    start = values.new_full((len(values), values.size(3)), nothing)
    start[:, 0] = 0
    return start


def _forward(values: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    """The log-sums, `(batch, labels)`, over all that comes before each position, and at last over all there is."""
    forward = [_start(values, FORBIDDEN)]
    for position, is_token in enumerate(mask.unbind(1)):
        extended = (forward[-1].unsqueeze(2) + values[:, position]).logsumexp(1)
        forward.append(extended.where(is_token.unsqueeze(1), forward[-1]))
    return forward


def _checked_total(last: torch.Tensor) -> torch.Tensor:
    total = last.logsumexp(1)
    for sentence in (total < FORBIDDEN / 2).nonzero():
        raise no_structure(int(sentence))
    return total
