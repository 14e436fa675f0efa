"""Linear rules over the cells of one sentence, and the best 0/1 cells that obey them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

# What the largest score becomes. The solver stops within 1e-6 of the best total, which then is nothing beside it.
SCALE = 1e5


class LinearRules:
    """
    Rules `lower <= sum z <= upper`, over some cells each. Cells are meant by their number, see
    [`cell_numbers`](#cell_numbers).
    """

    def __init__(self) -> None:
        self._cells: list[np.ndarray] = []
        self._signs: list[np.ndarray] = []
        self._lower: list[float] = []
        self._upper: list[float] = []

    def __len__(self) -> int:
        return len(self._lower)

    def add(
        self,
        cells: Iterable[int] | np.ndarray,
        lower: float = -np.inf,
        upper: float = np.inf,
        minus: Iterable[int] | np.ndarray = (),
    ) -> None:
        """The rule that the sum of `cells`, less that of the cells `minus`, is within these bounds."""
        cells, minus = (np.asarray(numbers, np.int64).reshape(-1) for numbers in (cells, minus))
        self._cells.append(np.concatenate((cells, minus)))
        self._signs.append(np.repeat((1.0, -1.0), (len(cells), len(minus))))
        self._lower.append(lower)
        self._upper.append(upper)

    def extend(self, other: LinearRules) -> None:
        self._cells += other._cells
        self._signs += other._signs
        self._lower += other._lower
        self._upper += other._upper

    def are_obeyed_by(self, z: np.ndarray) -> bool:
        """Whether 0/1 cells, of any shape, obey all of them."""
        flat = z.reshape(-1)
        totals = np.array([signs @ flat[cells] for cells, signs in zip(self._cells, self._signs, strict=True)])
        return bool(((self._lower <= totals) & (totals <= self._upper)).all())

    def best(self, scores: np.ndarray) -> np.ndarray | None:
        """
        The 0/1 cells that obey all rules and have the greatest score, of the shape of `scores`, or `None` if none do.
        Cells with a score of -inf are 0. By the branch-and-cut solver of [HiGHS](https://highs.dev) ([Huangfu & Hall,
        2018](https://doi.org/10.1007/s12532-017-0130-5)).
        """
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        flat = scores.reshape(-1)
        used = np.flatnonzero(flat > -np.inf)
        z = np.zeros_like(flat)
        rows = np.repeat(np.arange(len(self)), [len(cells) for cells in self._cells])
        entries = np.concatenate([*self._signs, ()]), (rows, np.concatenate([*self._cells, ()]).astype(np.int64))
        matrix = csr_array(entries, shape=(len(self), len(flat)))[:, used]
        if not len(used):
            return z.reshape(scores.shape) if self.are_obeyed_by(z) else None
        largest = np.abs(flat[used]).max()
        result = milp(
            -flat[used] * (SCALE / largest if largest > 0 else 1.0),
            integrality=np.ones(len(used)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, self._lower, self._upper) if len(self) else None,
            options={"mip_rel_gap": 0.0},
        )
        if result.status == INFEASIBLE:
            return None
        if result.x is None or result.status != OPTIMAL:
            raise RuntimeError(f"an integer program is not solved: {result.message}")
        z[used] = result.x.round()
        return z.reshape(scores.shape)


# The statuses of `scipy.optimize.milp` that are answers.
OPTIMAL, INFEASIBLE = 0, 2


def cell_numbers(parts: np.ndarray) -> np.ndarray:
    """The numbers of the cells of one sentence, int64, of its shape."""
    return np.arange(parts.size).reshape(parts.shape)
