"""What structures over two sequences share: cells `[batch, row, column]`, and which of them there are."""

import torch

from spigot_allennlp.nn.errors import check_shapes


def pair_cells(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    Which cells may be used, `(batch, rows, columns)` bool, given a mask of that shape, or of the rows alone, `(batch,
    rows)`, where all columns are there. Raises `ValueError` for other shapes.
    """
    check_shapes(scores, mask, "batch", "rows", "columns", mask_axes=3 if mask.dim() == 3 else 2)
    return (mask if mask.dim() == 3 else mask.unsqueeze(2)).expand_as(scores)


class Table:
    """
    The rows and columns of each pair that have a cell at all, moved to the front.

    size : `torch.Tensor`
        How many there are, `(batch, 2)`.
    """

    def __init__(self, cells: torch.Tensor) -> None:
        has_row, has_column = cells.any(2), cells.any(1)
        self.size = torch.stack((has_row.sum(1), has_column.sum(1)), 1)
        self.rows = has_row.int().argsort(dim=1, descending=True, stable=True)
        self.columns = has_column.int().argsort(dim=1, descending=True, stable=True)

    def take(self, values: torch.Tensor) -> torch.Tensor:
        """`values`, `(batch, rows, columns)`, in that order."""
        return values.gather(1, self.rows.unsqueeze(2).expand_as(values)).gather(
            2, self.columns.unsqueeze(1).expand_as(values)
        )

    def put_back(self, values: torch.Tensor) -> torch.Tensor:
        """The inverse of `take`."""
        by_row = torch.empty_like(values).scatter_(2, self.columns.unsqueeze(1).expand_as(values), values)
        return torch.empty_like(values).scatter_(1, self.rows.unsqueeze(2).expand_as(values), by_row)
