from functools import partial
from typing import Any

import numpy as np
import torch

from spigot_allennlp.nn.active_set import project_onto_hull
from spigot_allennlp.nn.errors import no_structure
from spigot_allennlp.nn.label_assignment import project_onto_face
from spigot_allennlp.nn.linear_rules import LinearRules, cell_numbers
from spigot_allennlp.nn.pairs import Table, pair_cells
from spigot_allennlp.nn.scores import values_of_parts
from spigot_allennlp.nn.shapes import AnyMask, Bool, Float, Tensor
from spigot_allennlp.nn.simplex import project_onto_capped_simplex, project_onto_simplex
from spigot_allennlp.structures.structure import Structure

Scores = Float[Tensor, "batch rows columns"]
Parts = Bool[Tensor, "batch rows columns"]


@Structure.register("matching")
class Matching(Structure):
    """
    A matching of rows with columns: none has more than one partner. `scores` is `(batch, rows, columns)`, the worth of
    a pair. The hull of all matchings are the matrices whose rows and columns sum to 1 (doubly stochastic ones), or to
    at most 1 where they may stay alone.

    `mask` is `(batch, rows, columns)` bool, or `(batch, rows)` where all columns are there. Rows and columns without
    any cell are not there; other cells that it leaves out are pairs that cannot be, as if they had a score of -inf.

    There is no log-partition, hence no marginals and no sampling: the sum over all matchings is a permanent, for which
    no algorithm is known that takes less than exponential time ([Valiant,
    1979](https://doi.org/10.1016/0304-3975(79)90044-6)).

    Registered as a `Structure` with name "matching".

    # Parameters

    complete : `bool`, optional (default = `True`)
        Whether there are as many pairs as can be: as many as there are rows or columns, whichever are fewer. If there
        are as many rows as columns, structures are permutations. Otherwise there are only pairs that are worth
        something, and none need be.
    """

    cells = "pairs"

    def __init__(self, complete: bool = True) -> None:
        self.complete = complete

    def argmax(self, scores: Scores, mask: AnyMask) -> Scores:
        """
        By `scipy.optimize.linear_sum_assignment`, a shortest augmenting path algorithm ([Crouse,
        2016](https://doi.org/10.1109/TAES.2016.140952)), in `O(n^3)` time, serially on the CPU in float64. Of several
        best matchings, any one.
        """
        values, table = self._values(scores.detach(), mask)
        return table.put_back(_best_matchings(values, table.size, self.complete)).to(scores.dtype)

    def project(self, point: Scores, mask: AnyMask) -> Scores:
        """
        `argmin_z ||z - point||^2  s.t.  z >= 0` and sums of rows and of columns that are 1, or at most 1: by Newton's
        method for the multipliers of these sums, `O(n^3)` a step.
        """
        values, table = self._values(point, mask)
        if self.complete:  # are there any?
            _best_matchings(values.detach(), table.size, complete=True)
        projection = _MatchingProjection.apply(values, table.size, self.complete)
        return table.put_back(projection.to(point.device, point.dtype))

    def project_local(self, point: Scores, mask: AnyMask) -> Scores:
        """One partner for every row, or one at most where there are more rows than columns, however wanted it is."""
        cells = self.parts(point, mask)
        rows, columns = Table(cells).size.view(-1, 1, 1, 2).unbind(3)
        needs_partner = (rows <= columns) & self.complete
        sure = project_onto_simplex(point, cells & needs_partner)
        return sure + project_onto_capped_simplex(point, cells & ~needs_partner)

    def parts(self, scores: Scores, mask: AnyMask) -> Parts:
        return pair_cells(scores, mask)

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """The sums of rows and of columns."""
        rules = LinearRules()
        cells, size = cell_numbers(parts), (parts.any(1).sum(), parts.any(0).sum())
        for axis, lines in enumerate(((cells, parts), (cells.T, parts.T))):
            is_sure = self.complete and size[axis] <= size[1 - axis]
            for numbers, are_parts in zip(*lines, strict=True):
                if are_parts.any():
                    rules.add(numbers[are_parts], lower=1 if is_sure else 0, upper=1)
        return rules

    def _values(self, scores: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, Table]:
        """The scores in float64, what is left out moved behind what is there; -inf for pairs that cannot be."""
        cells = pair_cells(scores, mask)
        table = Table(cells)
        return table.take(values_of_parts(scores, cells)), table


def _best_matchings(values: torch.Tensor, size: torch.Tensor, complete: bool) -> torch.Tensor:
    """The best matchings of the first rows and columns of each pair, as many as `size`, `(batch, 2)`, says."""
    from scipy.optimize import linear_sum_assignment

    z = torch.zeros_like(values, device="cpu")
    on_host = values.cpu()
    for pair, (rows, columns) in enumerate(size.tolist()):
        worth = on_host[pair, :rows, :columns]
        try:
            row, column = linear_sum_assignment(worth if complete else worth.clamp(min=0), maximize=True)
        except ValueError:
            raise no_structure(pair) from None
        z[pair, row, column] = 1.0 if complete else (worth[row, column] > 0).to(z.dtype)
    return z.to(values.device)


class _MatchingProjection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, point: torch.Tensor, size: torch.Tensor, complete: bool) -> torch.Tensor:
        from spigot_allennlp.nn.kernels.matching_hull import project_onto_matchings

        projection = torch.zeros_like(point, device="cpu", memory_format=torch.contiguous_format)
        point, size = point.cpu().contiguous(), size.cpu().contiguous()
        done = project_onto_matchings(point.numpy(), size.numpy(), complete, projection.numpy())
        rest = ~torch.from_numpy(done)
        if rest.any():
            argmax = partial(_best_matchings, complete=complete)
            projection[rest] = project_onto_hull(point[rest], argmax, size[rest]).projection
        ctx.save_for_backward(projection)
        return projection

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_projection: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (projection,) = ctx.saved_tensors
        bounded = torch.ones(projection.size(2), dtype=torch.bool)
        return project_onto_face(d_projection.cpu(), projection, bounded).to(d_projection.device), None, None
