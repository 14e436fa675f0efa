"""Linear rules over the cells of one sentence, and the best 0/1 cells that obey them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping

import numpy as np

# What the largest score becomes. The solver stops within 1e-6 of the best total, which then is nothing beside it.
SCALE = 1e5


class LinearRules:
    """
    Rules `lower <= sum z <= upper`, over some cells each. Cells are meant by their number, see
    [`cell_numbers`](#cell_numbers); negative numbers are those of further variables, see
    [`add_derivation`](#add_derivation).
    """

    def __init__(self) -> None:
        self._num_more = 0
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
        self._cells += [np.where(cells < 0, cells - self._num_more, cells) for cells in other._cells]
        self._num_more += other._num_more
        self._signs += other._signs
        self._lower += other._lower
        self._upper += other._upper

    def add_derivation(
        self,
        edges: Iterable[tuple[Hashable, tuple[Hashable, ...]]],
        cells: Mapping[Hashable, list[int]],
        goal: Hashable,
    ) -> None:
        """
        The rules that there is a derivation of the `goal`, as a chart parser finds them: with a variable between 0 and
        1 for each edge, every item is made as often as it is used, and the goal is made once ([Martin, Rardin &
        Campbell, 1990](https://doi.org/10.1287/opre.38.1.127)).

        # Parameters

        edges : `Iterable[tuple[Hashable, tuple[Hashable, ...]]]`
            An item, and the items of which it can be made.
        cells : `Mapping[Hashable, list[int]]`
            Of some items, the cells of which one is 1 if the item is there, and none if it is not.
        goal : `Hashable`
            An item.
        """
        made, used = defaultdict(list), defaultdict(list)
        for whole, halves in edges:
            self._num_more += 1
            made[whole].append(-self._num_more)
            for half in halves:
                used[half].append(-self._num_more)
        for item in {goal, *made, *used, *cells}:
            counts = [count[item] for count in (cells, made, used) if item in count]
            if item == goal:
                self.add(counts[0] if counts else [], lower=1, upper=1)
            for count, other in itertools.pairwise(counts):
                self.add(count, lower=0, upper=0, minus=other)

    def are_obeyed_by(self, z: np.ndarray) -> bool:
        """Whether 0/1 cells, of any shape, obey all of them."""
        flat = z.reshape(-1)
        totals = np.array([signs @ flat[cells] for cells, signs in zip(self._cells, self._signs, strict=True)])
        return bool(((self._lower <= totals) & (totals <= self._upper)).all())

    def as_upper_bounds(self, num_cells: int) -> tuple[np.ndarray, np.ndarray]:
        """`matrix`, `(rules, num_cells)`, and `upper`, `(rules,)`: cells obey all rules if `matrix @ z <= upper`."""
        matrix = np.zeros((len(self), num_cells))
        for row, cells, signs in zip(matrix, self._cells, self._signs, strict=True):
            np.add.at(row, cells, signs)
        lower, upper = np.array(self._lower), np.array(self._upper)
        from_above, from_below = upper < np.inf, lower > -np.inf
        return (
            np.concatenate((matrix[from_above], -matrix[from_below])),
            np.concatenate((upper[from_above], -lower[from_below])),
        )

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
        numbers = np.concatenate([*self._cells, ()]).astype(np.int64)
        # Further variables follow the cells.
        columns = np.where(numbers < 0, len(flat) - 1 - numbers, numbers)
        matrix = csr_array(
            (np.concatenate([*self._signs, ()]), (rows, columns)), shape=(len(self), len(flat) + self._num_more)
        )[:, np.append(used, np.arange(len(flat), len(flat) + self._num_more))]
        if not len(used):
            return z.reshape(scores.shape) if self.are_obeyed_by(z) else None
        largest = np.abs(flat[used]).max()
        result = milp(
            np.pad(-flat[used] * (SCALE / largest if largest > 0 else 1.0), (0, self._num_more)),
            integrality=np.pad(np.ones(len(used)), (0, self._num_more)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, self._lower, self._upper) if len(self) else None,
            options={"mip_rel_gap": 0.0},
        )
        if result.status == INFEASIBLE:
            return None
        if result.x is None or result.status != OPTIMAL:
            raise RuntimeError(f"an integer program is not solved: {result.message}")
        z[used] = result.x[: len(used)].round()
        return z.reshape(scores.shape)


# The statuses of `scipy.optimize.milp` that are answers.
OPTIMAL, INFEASIBLE = 0, 2


def cell_numbers(parts: np.ndarray) -> np.ndarray:
    """The numbers of the cells of one sentence, int64, of its shape."""
    return np.arange(parts.size).reshape(parts.shape)
