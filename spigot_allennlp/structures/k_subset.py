import numpy as np
import torch
from torch.nn.functional import pad

from spigot_allennlp.checks import positive
from spigot_allennlp.nn.errors import check_count, check_scores, check_shapes, check_totals, no_structure
from spigot_allennlp.nn.kernels import FORBIDDEN
from spigot_allennlp.nn.linear_rules import LinearRules, cell_numbers
from spigot_allennlp.nn.log_add import log_add
from spigot_allennlp.nn.sampling import draw_options, draw_uniform
from spigot_allennlp.nn.shapes import BestTotals, Bool, Float, Mask, Tensor, Totals
from spigot_allennlp.structures.structure import Structure

Scores = Float[Tensor, "batch length"]
Parts = Bool[Tensor, "batch length"]
Samples = Float[Tensor, "samples batch length"]
Best = Float[Tensor, "k batch length"]

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

    def argmax(self, scores: Scores, mask: Mask) -> Scores:
        """The `k` positions with the greatest (or greatest positive) scores. Of several best subsets, any one."""
        values, _ = self._checked_values(scores.detach(), mask)
        best, position = values.topk(min(self.k, values.size(1)), 1)
        least = -torch.inf if self.exactly else 0
        return torch.zeros_like(scores).scatter_(1, position, (best > least).to(scores.dtype))

    def log_partition(self, scores: Scores, mask: Mask) -> Totals:
        """
        The log of an elementary symmetric polynomial, summed position by position in float64
        ([Kulesza & Taskar, 2012](https://arxiv.org/abs/1207.6083), algorithm 7), or of those up to `k`.
        """
        values, size = self._checked_values(scores, mask, to_be_summed=True)
        return self._checked_total(_log_sums_before(values, self.k), size).squeeze(1).to(scores.dtype)

    def marginals(self, scores: Scores, mask: Mask) -> Scores:
        """From the log-sums over what is chosen before and after a position."""
        values, size = self._checked_values(scores, mask, to_be_summed=True)
        before = _log_sums_before(values, self.k)
        total = self._checked_total(before, size)
        before.pop()
        if not before:
            return torch.zeros_like(scores)
        # Over what is chosen after a position, given how many are chosen up to it. Shape of each: (batch, k + 1)
        nothing_more = torch.full_like(before[0], FORBIDDEN if self.exactly else 0)
        after = [nothing_more.scatter(1, size.unsqueeze(1), 0)]
        for value in reversed(values.clamp(min=FORBIDDEN).unbind(1)[1:]):
            chosen = pad(after[-1][:, 1:], (0, 1), value=FORBIDDEN) + value.unsqueeze(1)
            after.append(log_add(after[-1], chosen))
        # Shape: (batch, length, k)
        ways = torch.stack(before, 1)[:, :, :-1] + torch.stack(after[::-1], 1)[:, :, 1:]
        return (ways.logsumexp(2) + values - total).exp().to(scores.dtype)

    def sample(
        self, scores: Scores, mask: Mask, num_samples: int = 1, generator: torch.Generator | None = None
    ) -> Samples:
        """Position by position from the last one, by the log-sums over what can be chosen before each."""
        check_count("num_samples", num_samples)
        values, size = self._checked_values(scores.detach(), mask)
        before = _log_sums_before(values, self.k)
        z = scores.new_zeros((num_samples, *scores.shape))
        uniform = draw_uniform(*z.shape, like=scores, generator=generator)
        # How many are still to choose. Shape: (batch, num_samples)
        left = size.unsqueeze(1).expand(-1, num_samples)
        if not self.exactly:
            left = draw_options(before[-1], num_samples, generator).t()
        for position in reversed(range(values.size(1))):
            chosen = before[position].gather(1, (left - 1).clamp(min=0)) + values[:, position].unsqueeze(1)
            probability = (chosen - before[position + 1].gather(1, left)).exp()
            has_to_be = before[position].gather(1, left) <= FORBIDDEN / 2
            is_chosen = (left > 0) & ((uniform[:, :, position].t() < probability) | has_to_be)
            z[:, :, position] = is_chosen.t().to(z.dtype)
            left = left - is_chosen.long()
        return z

    def top_k(self, scores: Scores, mask: Mask, k: int) -> tuple[Best, BestTotals]:
        """
        Position by position: of the subsets of so many of the positions up to there, the `k` best are among the `k`
        best without the last one and the `k` best with it.
        """
        check_count("k", k)
        values, size = self._checked_values(scores.detach(), mask)
        # By how many positions are chosen, best first. Shape: (batch, self.k + 1, k)
        best = values.new_full((len(values), self.k + 1, k), -torch.inf)
        best[:, 0, 0] = 0
        origins = []
        for value in values.unbind(1):
            chosen = pad(best[:, :-1], (0, 0, 1, 0), value=-torch.inf) + value.view(-1, 1, 1)
            best, origin = torch.cat((best, chosen), 2).topk(k, 2)
            origins.append(origin)
        z = scores.new_zeros((k, *scores.shape))
        sentences = torch.arange(len(values), device=scores.device).unsqueeze(1)
        # Of how many positions, and of the subsets with so many which one. Shape of each: (batch, k)
        if self.exactly:
            left = size.unsqueeze(1).expand(-1, k)
            place = torch.arange(k, device=scores.device).expand_as(left)
            totals = best[sentences, left, place]
        else:
            totals, index = best.flatten(1).topk(k, 1)
            left, place = index // k, index % k
        for position in reversed(range(values.size(1))):
            place = origins[position][sentences, left, place]
            is_chosen = (place >= k) & (totals > -torch.inf)
            z[:, :, position] = is_chosen.t().to(z.dtype)
            left, place = left - is_chosen.long(), place % k
        return z, totals.t().to(scores.dtype)

    def project(self, point: Scores, mask: Mask) -> Scores:
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

    def parts(self, scores: Scores, mask: Mask) -> Parts:
        check_shapes(scores, mask, "batch", "length")
        return mask

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """Their number."""
        size = min(self.k, int(parts.sum()))
        rules = LinearRules()
        rules.add(cell_numbers(parts)[parts], lower=size if self.exactly else 0, upper=size)
        return rules

    def _checked_values(
        self, scores: torch.Tensor, mask: torch.Tensor, to_be_summed: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The scores of tokens, float64, with -inf elsewhere; and how many to choose per sentence, `(batch,)`."""
        check_shapes(scores, mask, "batch", "length")
        values = scores.double().masked_fill(~mask, -torch.inf)
        size = mask.sum(1).clamp(max=self.k)
        check_scores(values, to_be_summed)
        for sentence in ((values > -torch.inf).sum(1) < size).nonzero() if self.exactly else ():
            raise no_structure(int(sentence))
        return values, size

    def _checked_total(self, before: list[torch.Tensor], size: torch.Tensor) -> torch.Tensor:
        """From [`_log_sums_before`](#_log_sums_before), the log-sum over all subsets, `(batch, 1)`."""
        total = before[-1].gather(1, size.unsqueeze(1)) if self.exactly else before[-1].logsumexp(1, keepdim=True)
        check_totals(total.squeeze(1), len(before) - 1)
        return total


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
        log_sums.append(log_add(log_sums[-1], chosen))
    return log_sums
