import numpy as np
import torch
from torch.nn.functional import pad

from spigot_allennlp.checks import positive
from spigot_allennlp.nn.errors import check_shapes, no_structure, not_a_score
from spigot_allennlp.nn.linear_rules import LinearRules, cell_numbers
from spigot_allennlp.structures.structure import Structure

# Stands for a score of -inf where sums are differentiated: no gradient is NaN then.
FORBIDDEN = -1e30
# Halvings that bring an interval of length 1 below the resolution of float64.
BISECTIONS = 54


@Structure.register("k_subset")
class KSubset(Structure):
    """
    `k` positions of a sentence, or all where it has fewer, as when a rationale of `k` words is chosen; or at most `k`.
    `scores` is `(batch, length)`, the worth of each position. There is no ROOT: every position that the mask allows may
    be chosen.

    Registered as a `Structure` with name "k_subset".

    # Parameters

    k : `int`
        How many positions to choose, positive.
    exactly : `bool`, optional (default = `True`)
        Whether there are `k` of them; otherwise `k` is the most, and only positions that are worth something count.
    """

    cells = "positions"

    def __init__(self, k: int, exactly: bool = True) -> None:
        self.k = positive("k", k)
        self.exactly = exactly

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The `k` positions with the greatest (or greatest positive) scores. Of several best subsets, any one."""
        values, _ = self._checked_values(scores.detach(), mask)
        best, position = values.topk(min(self.k, values.size(1)), 1)
        least = -torch.inf if self.exactly else 0
        return torch.zeros_like(scores).scatter_(1, position, (best > least).to(scores.dtype))

    def log_partition(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        The log of an elementary symmetric polynomial, summed position by position in float64
        ([Kulesza & Taskar, 2012](https://arxiv.org/abs/1207.6083), algorithm 7), or of those up to `k`.
        """
        values, size = self._checked_values(scores, mask)
        return self._total(_log_sums_before(values, self.k)[-1], size).squeeze(1).to(scores.dtype)

    def marginals(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """From the log-sums over what is chosen before and after a position."""
        values, size = self._checked_values(scores, mask)
        before = _log_sums_before(values, self.k)
        total = self._total(before.pop(), size)
        if not before:
            return torch.zeros_like(scores)
        # Over what is chosen after a position, given how many are chosen up to it. Shape of each: (batch, k + 1)
        nothing_more = torch.full_like(before[0], FORBIDDEN if self.exactly else 0)
        after = [nothing_more.scatter(1, size.unsqueeze(1), 0)]
        for value in reversed(values.clamp(min=FORBIDDEN).unbind(1)[1:]):
            chosen = pad(after[-1][:, 1:], (0, 1), value=FORBIDDEN) + value.unsqueeze(1)
            after.append(torch.logaddexp(after[-1], chosen))
        # Shape: (batch, length, k)
        ways = torch.stack(before, 1)[:, :, :-1] + torch.stack(after[::-1], 1)[:, :, 1:]
        return (ways.logsumexp(2) + values - total).exp().to(scores.dtype)

    def project(self, point: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        `argmin_z ||z - point||^2  s.t.  0 <= z <= 1,  sum z = k`, which is the convex hull of all subsets. For at most
        `k`, that is clipping, unless more than `k` in sum is left.

        The solution is `clip(point - t, 0, 1)`, whose sum falls with `t`; `t` is at most 1 below the `k`-th largest
        value. Bisection finds which positions are strictly between 0 and 1, and they give the exact `t`.
        """
        values, size = self._checked_values(point, mask)
        clipped = values.clamp(0, 1)
        # Shape: (batch, 1)
        size = size.unsqueeze(1)
        with torch.no_grad():
            largest = pad(values, (0, 1), value=-torch.inf).topk(min(self.k, values.size(1) + 1), 1).values
            reference = largest.gather(1, (size - 1).clamp(min=0)).clamp(min=FORBIDDEN)
            low, high = torch.full_like(reference, -1.0), torch.zeros_like(reference)
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                enough = (values - reference - middle).clamp(0, 1).sum(1, keepdim=True) >= size
                low, high = middle.where(enough, low), high.where(enough, middle)
            full = values - reference - low >= 1
            between = (values - reference > low) & ~full
        values = (values - reference).masked_fill(~between, 0)
        surplus = values.sum(1, keepdim=True) + full.sum(1, keepdim=True) - size
        threshold = surplus / between.sum(1, keepdim=True).clamp(min=1)
        projection = (values - threshold).where(between, full.double())
        if not self.exactly:
            projection = clipped.where(clipped.sum(1, keepdim=True) <= size, projection)
        return projection.to(point.dtype)

    def parts(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return mask

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """Their number."""
        size = min(self.k, int(parts.sum()))
        rules = LinearRules()
        rules.add(cell_numbers(parts)[parts], lower=size if self.exactly else 0, upper=size)
        return rules

    def _checked_values(self, scores: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The scores of tokens, float64, with -inf elsewhere; and how many to choose per sentence, `(batch,)`."""
        check_shapes(scores, mask, "batch", "length")
        values = scores.double().masked_fill(~mask, -torch.inf)
        size = mask.sum(1).clamp(max=self.k)
        for sentence in (~(values < torch.inf)).any(1).nonzero():
            raise not_a_score(int(sentence))
        for sentence in ((values > -torch.inf).sum(1) < size).nonzero() if self.exactly else ():
            raise no_structure(int(sentence))
        return values, size

    def _total(self, log_sums: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
        """From the log-sums over 0, ..., `k` positions, `(batch, k + 1)`, that over all subsets, `(batch, 1)`."""
        return log_sums.gather(1, size.unsqueeze(1)) if self.exactly else log_sums.logsumexp(1, keepdim=True)


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
        # Not `logaddexp`, whose second derivative is NaN where one is far below the other.
        log_sums.append(torch.stack((log_sums[-1], chosen)).logsumexp(0))
    return log_sums
