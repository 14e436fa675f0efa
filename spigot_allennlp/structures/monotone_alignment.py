import numpy as np
import torch
from torch.nn.functional import pad

from spigot_allennlp.nn.decoding import fill_on_host
from spigot_allennlp.nn.errors import check_count, check_totals
from spigot_allennlp.nn.kernels import FORBIDDEN
from spigot_allennlp.nn.linear_rules import LinearRules, cell_numbers
from spigot_allennlp.nn.pairs import Table, pair_cells
from spigot_allennlp.nn.sampling import draw_options
from spigot_allennlp.nn.scores import values_of_parts
from spigot_allennlp.nn.shapes import AnyMask, Bool, Float, Tensor, Totals
from spigot_allennlp.nn.simplex import project_onto_simplex
from spigot_allennlp.structures.structure import Structure

Scores = Float[Tensor, "batch rows columns"]
Parts = Bool[Tensor, "batch rows columns"]
Samples = Float[Tensor, "samples batch rows columns"]


@Structure.register("monotone_alignment")
class MonotoneAlignment(Structure):
    """
    A monotone alignment of two sequences, as dynamic time warping finds. `scores` is `(batch, rows, columns)`, the
    worth of aligning a row with a column. A structure is the cells of a path from the first row and the first column to
    the last row and the last column, each step of which goes to the next column, to the next row, or to both at once:
    everything is aligned with something, and no two alignments cross. It earns the score of every cell that it visits;
    where scores are costs, negate them.

    `mask` is `(batch, rows, columns)` bool, or `(batch, rows)` where all columns are there. Rows and columns without
    any cell are passed over. Other cells that it leaves out (those outside of a band, say) no path visits, as if they
    had a score of -inf. A pair without cells gives zeros.

    Registered as a `Structure` with name "monotone_alignment".
    """

    cells = "alignments"

    def argmax(self, scores: Scores, mask: AnyMask) -> Scores:
        """
        By dynamic programming ([Sakoe & Chiba, 1978](https://doi.org/10.1109/TASSP.1978.1163055)) in `O(rows columns)`
        time, serially on the CPU in float64. Of several best paths, any one.
        """
        from spigot_allennlp.nn.kernels.monotone_alignment import maximum_alignments

        values, table = _values(scores.detach(), mask)
        return table.put_back(fill_on_host(maximum_alignments, values, table.size)).to(scores.dtype)

    def log_partition(self, scores: Scores, mask: AnyMask) -> Totals:
        """
        The same with sums for maxima ([Cuturi & Blondel, 2017](https://arxiv.org/abs/1703.01541)), all cells of an
        antidiagonal at once, in float64.
        """
        values, table = _values(scores, mask, to_be_summed=True)
        return _checked_total(_forward(values), table).to(scores.dtype)

    def sample(
        self, scores: Scores, mask: AnyMask, num_samples: int = 1, generator: torch.Generator | None = None
    ) -> Samples:
        """Step by step from the last cell, in proportion to the sums over all ways to come there."""
        check_count("num_samples", num_samples)
        values, table = _values(scores.detach(), mask, to_be_summed=True)
        sums = _forward(values)
        _checked_total(sums, table)
        z = scores.new_zeros((num_samples, *scores.shape))
        # The cells that the paths have come to, of which those at (0, 0) have arrived. Shape: (num_samples, batch)
        row, column = (table.size - 1).expand(num_samples, -1, 2).unbind(2)
        steps = torch.tensor([[0, 1], [1, 0], [1, 1]], device=scores.device)
        exists = row >= 0
        sample, pair = exists.nonzero().unbind(1)
        row, column = row[exists], column[exists]
        while len(sample):
            z[sample, pair, table.rows[pair, row], table.columns[pair, column]] = 1
            on_its_way = row + column > 0
            sample, pair, row, column = (x[on_its_way] for x in (sample, pair, row, column))
            # Shape: (paths, 3)
            rows_before, columns_before = (torch.stack((row, column), 1).unsqueeze(1) - steps).unbind(2)
            exists = (rows_before >= 0) & (columns_before >= 0)
            diagonal = (rows_before + columns_before).clamp(min=0)
            worth = sums[pair.unsqueeze(1), diagonal, rows_before.clamp(min=0)].where(exists, FORBIDDEN)
            if len(sample):
                step = draw_options(worth, 1, generator).t()
                row, column = rows_before.gather(1, step).squeeze(1), columns_before.gather(1, step).squeeze(1)
        return z

    def project_local(self, point: Scores, mask: AnyMask) -> Scores:
        """Weights between 0 and 1, at least 1 in all for every row: columns and the order are left out."""
        cells = self.parts(point, mask)
        projection = point.clamp(0, 1).masked_fill(~cells, 0)
        is_short = projection.sum(2, keepdim=True) < 1
        return project_onto_simplex(point, cells).where(is_short, projection)

    def parts(self, scores: Scores, mask: AnyMask) -> Parts:
        return pair_cells(scores, mask)

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """Both corners, a cell before and a cell after every other one, and no two on an antidiagonal."""
        rules = LinearRules()
        there = np.ix_(parts.any(1), parts.any(0))
        # With a border of cells that are not there. Shape: (rows + 2, columns + 2)
        cells = np.pad(np.where(parts, cell_numbers(parts), -1)[there], 1, constant_values=-1)
        rows, columns = cells.shape[0] - 2, cells.shape[1] - 2
        if not rows:
            return rules
        for corner in (cells[1, 1], cells[rows, columns]):
            rules.add([corner] if corner >= 0 else [], lower=1)
        for i, j in zip(*(cells >= 0).nonzero(), strict=True):
            before = np.array([cells[i - 1, j], cells[i, j - 1], cells[i - 1, j - 1]])
            after = np.array([cells[i + 1, j], cells[i, j + 1], cells[i + 1, j + 1]])
            for neighbours, corner in ((before, (1, 1)), (after, (rows, columns))):
                if (i, j) != corner:
                    rules.add([cells[i, j]], upper=0, minus=neighbours[neighbours >= 0])
        for offset in range(-rows - 1, columns + 2):
            antidiagonal = np.fliplr(cells).diagonal(offset)
            rules.add(antidiagonal[antidiagonal >= 0], upper=1)
        return rules


def _values(scores: torch.Tensor, mask: torch.Tensor, to_be_summed: bool = False) -> tuple[torch.Tensor, Table]:
    """The scores in float64, what is left out moved behind what is there; -inf where no path goes."""
    cells = pair_cells(scores, mask)
    table = Table(cells)
    return table.take(values_of_parts(scores, cells, to_be_summed)), table


def _forward(values: torch.Tensor) -> torch.Tensor:
    """
    The log-sums over all paths to a cell, `(batch, rows + columns - 1, rows)`, by the antidiagonal that the cell is on
    (the sum of its row and column) and its row.
    """
    _, rows, columns = values.shape
    if not values.numel():
        return values
    diagonals = torch.arange(rows + columns - 1, device=values.device).unsqueeze(1)
    row = torch.arange(rows, device=values.device)
    column = (diagonals - row).where((diagonals >= row) & (diagonals - row < columns), columns)
    # Shape: (batch, diagonals, rows)
    by_diagonal = pad(values.clamp(min=FORBIDDEN), (0, 1), value=FORBIDDEN)[:, row, column]
    before = last = torch.full_like(values[:, :, 0], FORBIDDEN)
    sums = []
    for diagonal, worth in enumerate(by_diagonal.unbind(1)):
        if diagonal == 0:
            here = worth
        else:
            from_above, from_both = (pad(chart[:, :-1], (1, 0), value=FORBIDDEN) for chart in (last, before))
            here = worth + torch.stack((last, from_above, from_both)).logsumexp(0)
        before, last = last, here
        sums.append(here)
    return torch.stack(sums, 1)


def _checked_total(sums: torch.Tensor, table: Table) -> torch.Tensor:
    """Of the last cells, `(batch,)`; 0 for pairs that have none."""
    if not sums.numel():
        return sums.sum((1, 2))
    last_row, last_column = (table.size - 1).clamp(min=0).unbind(1)
    pairs = torch.arange(len(sums), device=sums.device)
    total = sums[pairs, last_row + last_column, last_row]
    total = total.where(table.size[:, 0] > 0, sums[:, :0].sum((1, 2)))
    check_totals(total, sums.size(1))
    return total
