"""The k best of a set of 0/1 structures of which only the argmax is known; and the k best sums of independent terms."""

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from spigot_allennlp.nn.errors import check_count

Argmax = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
# Cells that one call of an argmax may have.
MOST_CELLS = 1 << 24


class _Branch(NamedTuple):
    """Of the structures that have all `forced` cells and no `forbidden` one, `(cells,)` bool both, the best."""

    best: torch.Tensor
    forced: torch.Tensor
    forbidden: torch.Tensor


def k_best(
    argmax: Argmax, scores: torch.Tensor, mask: torch.Tensor, parts: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    By the method of [Lawler, 1972](https://doi.org/10.1287/mnsc.18.7.401). When the best structure of a set is known,
    the others fall into disjoint sets: those that have its first i parts, but not the next one; and, where structures
    differ in size, those that have all of its parts and then, in the order of the cells, some cell first. The best one
    of all that is not known yet is the best of one of the sets.

    The argmax is told to keep to a set by scores that outweigh all others. That does not make it less exact: whoever
    keeps to it is the best of those that do.

    # Parameters

    argmax : `Callable[[torch.Tensor, torch.Tensor], torch.Tensor]`
        Of float64 scores and a mask, an exact maximiser as a 0/1 tensor. It raises where there is no structure.
    scores : `torch.Tensor`
        `(batch, ...)`, floating.
    mask : `torch.Tensor`
        `(batch, length)`, bool.
    parts : `torch.Tensor`
        Which cells structures use, bool, like `scores`.
    k : `int`
        How many structures to find, positive.

    # Returns

    `tuple[torch.Tensor, torch.Tensor]`
        `(k, *scores.shape)` and `(k, batch)`: the structures and their scores, best first; zeros and -inf where there
        are fewer.
    """
    check_count("k", k)
    structures = scores.new_zeros((k, *scores.shape))
    totals = scores.new_full((k, len(scores)), -torch.inf)
    best = argmax(scores.detach().double(), mask)
    for sentence in range(len(scores)):
        searched = _Sentence(argmax, scores[sentence].detach(), mask[sentence], parts[sentence])
        ranked = searched.ranked(best[sentence])
        found = sorted(itertools.islice(ranked, k), key=lambda pair: -pair[0])
        for rank, (total, z) in enumerate(found):
            structures[rank, sentence] = z.to(scores.dtype)
            totals[rank, sentence] = total
    return structures, totals


class _Sentence:
    """One sentence, `(...)`. Cells of -inf, and those that no structure uses, are not `allowed`."""

    def __init__(self, argmax: Argmax, scores: torch.Tensor, mask: torch.Tensor, parts: torch.Tensor) -> None:
        self.argmax, self.mask = argmax, mask
        self.shape = scores.shape
        self.scores = scores.double().masked_fill(~parts, -torch.inf).flatten()
        self.allowed = self.scores > -torch.inf

    def ranked(self, best: torch.Tensor) -> Iterator[tuple[float, torch.Tensor]]:
        """All structures and their scores, best first."""
        nothing = torch.zeros_like(self.allowed)
        order = itertools.count()
        heap = [(-self._total(best.flatten()), next(order), _Branch(best.flatten(), nothing, ~self.allowed))]
        while heap:
            total, _, branch = heapq.heappop(heap)
            yield -total, branch.best.view(self.shape)
            for other in self._others(branch):
                heapq.heappush(heap, (-self._total(other.best), next(order), other))

    def _total(self, z: torch.Tensor) -> float:
        return float(self.scores[z > 0].sum())

    def _others(self, branch: _Branch) -> Iterator[_Branch]:
        """The branches that are left when the best structure is taken out of one."""
        has = branch.best > 0
        cells = (has & ~branch.forced).nonzero().squeeze(1)
        yield from self._branches(cells, branch.forced, branch.forbidden, has_last=False)
        forced = branch.forced | has
        if self._is_part_of_another(forced, branch.forbidden):
            cells = (~has & ~branch.forbidden).nonzero().squeeze(1)
            yield from self._branches(cells, forced, branch.forbidden, has_last=True)

    def _branches(
        self, cells: torch.Tensor, forced: torch.Tensor, forbidden: torch.Tensor, has_last: bool
    ) -> Iterator[_Branch]:
        """
        Of structures that have the `forced` cells and not the `forbidden` ones: for each of the `cells`, those that
        have all before it, but not itself; or, with `has_last`, those that have none before it, but itself.
        """
        if not len(cells):
            return
        for chunk in torch.arange(len(cells), device=cells.device).split(max(1, MOST_CELLS // len(forced))):
            before = torch.zeros((len(chunk), len(forced)), dtype=torch.bool, device=cells.device)
            before[:, cells] = torch.arange(len(cells), device=cells.device) < chunk.unsqueeze(1)
            last = torch.zeros_like(before)
            last[torch.arange(len(chunk), device=cells.device), cells[chunk]] = True
            had, not_had = (last, before) if has_last else (before, last)
            had, not_had = forced | had, forbidden | not_had
            best = self._best(had, not_had)
            for row in _keeps_to(best, had, not_had).nonzero().squeeze(1):
                yield _Branch(best[row], had[row], not_had[row])

    def _best(self, forced: torch.Tensor, forbidden: torch.Tensor) -> torch.Tensor:
        """
        The best structures that keep to what is `forced` and `forbidden`, `(branches, cells)`, or, where there is none,
        others. Weights that are no larger than they have to be lose no digits.
        """
        size = self.scores.where(self.allowed, 0.0).abs()
        # Scores below -1e200 count as -inf here.
        enough = 1 + 2 * size.sum().clamp(max=1e200)
        weight = (1 + 4 * size.median() * forced.sum(1).max()).clamp(max=enough)
        best = torch.zeros_like(forced, dtype=torch.double)
        failed = torch.ones(len(forced), dtype=torch.bool, device=forced.device)
        while True:
            towards = forced[failed].double() - forbidden[failed].double()
            best[failed] = self._maximise(self.scores + weight * towards)
            failed = ~_keeps_to(best, forced, forbidden)
            if weight >= enough or not failed.any():
                return best
            weight = (weight * 1000).clamp(max=enough)

    def _is_part_of_another(self, forced: torch.Tensor, forbidden: torch.Tensor) -> bool:
        """Whether a structure has all `forced` cells and more, but none that is `forbidden`."""
        weight = 2.0 * len(forced)
        towards = torch.ones_like(self.scores).where(~forced, weight).where(~forbidden, -weight)
        most = self._maximise(towards.where(self.allowed, -torch.inf).unsqueeze(0))
        return bool(_keeps_to(most, forced, forbidden)) and most.sum() > forced.sum()

    def _maximise(self, scores: torch.Tensor) -> torch.Tensor:
        mask = self.mask.expand(len(scores), *self.mask.shape)
        return self.argmax(scores.view(-1, *self.shape), mask).flatten(1)


def _keeps_to(z: torch.Tensor, forced: torch.Tensor, forbidden: torch.Tensor) -> torch.Tensor:
    return ~((forced & (z == 0)) | (forbidden & (z > 0))).any(1)


def k_best_sums(terms: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The `k` best ways to choose one option for each of several independent terms, best first.

    Whoever departs from the best option of a term does no better than by that departure alone. So only those `k - 1`
    terms count where it costs least. Pairs of them, then pairs of pairs, and so on are joined, each time with the `k`
    best sums of the two.

    # Parameters

    terms : `torch.Tensor`
        `(..., terms, options)`: the worth of each option, floating, -inf where it is none. Each term has one.
    k : `int`
        How many to find.

    # Returns

    `tuple[torch.Tensor, torch.Tensor]`
        The sums, `(..., k)`, -inf where there are fewer, and the options chosen, `(..., k, terms)`, int64.
    """
    best, option = terms.max(-1)
    chosen = option.unsqueeze(-2).repeat_interleave(k, -2)
    second = terms.scatter(-1, option.unsqueeze(-1), -torch.inf).amax(-1)
    # Shape: (..., terms that count)
    counts = (best - second).topk(min(k - 1, terms.size(-2)), -1, largest=False).indices
    total = best.scatter(-1, counts, 0).sum(-1, keepdim=True)
    if counts.size(-1):
        sums, options = _join(terms.gather(-2, counts.unsqueeze(-1).expand(*counts.shape, terms.size(-1))), k)
        sums = sums + total
        chosen[..., : sums.size(-1), :] = chosen[..., : sums.size(-1), :].scatter(
            -1, counts.unsqueeze(-2).expand_as(options), options
        )
    else:
        sums = total
    return torch.nn.functional.pad(sums, (0, k - sums.size(-1)), value=-torch.inf), chosen


def _join(terms: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As `k_best_sums`, `k` or all if there are fewer, where all terms count."""
    best, option = terms.topk(min(k, terms.size(-1)), -1)
    chosen = option.unsqueeze(-1)
    # Of groups of terms: best sums `(..., groups, ways)`, and the options chosen `(..., groups, ways, terms of one)`.
    num_terms = terms.size(-2)
    while best.size(-2) > 1:
        if best.size(-2) % 2:
            # A group with one option, which is worth nothing.
            best = torch.cat((best, _one_way_for_nothing(best)), -2)
            chosen = torch.cat((chosen, torch.zeros_like(chosen[..., :1, :, :])), -3)
        sums = best[..., ::2, :, None] + best[..., 1::2, None, :]
        ways = sums.size(-1)
        best, place = sums.flatten(-2).topk(min(k, ways * ways), -1)
        halves = [
            half.gather(-2, index.unsqueeze(-1).expand(*index.shape, half.size(-1)))
            for half, index in ((chosen[..., ::2, :, :], place // ways), (chosen[..., 1::2, :, :], place % ways))
        ]
        chosen = torch.cat(halves, -1)
    return best.squeeze(-2), chosen.squeeze(-3)[..., :num_terms]


def _one_way_for_nothing(best: torch.Tensor) -> torch.Tensor:
    nothing = torch.full_like(best[..., :1, :], -torch.inf)
    nothing[..., 0] = 0
    return nothing
