"""The best structure that obeys linear rules, where all that can be found is the best one for any scores."""

from collections.abc import Callable

import numpy as np

from spigot_allennlp.nn.linear_rules import LinearRules

# Scores are scaled to 1 at most. What differs by less than this counts as the same: in a mixture's score, in its rules.
GAP = 1e-9
SLACK = 1e-7
# How many linear programs may be solved, of some milliseconds each.
MAX_PROGRAMS = 20_000


def best_under(
    rules: LinearRules, scores: np.ndarray, argmax: Callable[[np.ndarray], np.ndarray | None]
) -> np.ndarray | None:
    """
    The 0/1 cells that obey all `rules` and have the greatest score among those that `argmax` ranges over, of the shape
    of `scores`, or `None` if none do. `argmax(scores)` is `None` where -inf leaves nothing.

    By branch and price ([Barnhart et al., 1998](https://doi.org/10.1287/opre.46.3.316)). The best mixture of structures
    that obeys the rules on average is found by a linear program over the structures seen so far, whose multipliers say
    what it costs to break a rule, in turns with the best structure at these costs, which joins them ([Dantzig & Wolfe,
    1960](https://doi.org/10.1287/opre.8.1.101)). What such a structure is worth bounds all others. Where the mixture
    has a cell that is neither 0 nor 1, it is set to the one, then to the other.

    That ends, as every program has a new structure and every branch one cell less; but the problem is NP-hard, and the
    number of programs may grow exponentially with that of cells. `RuntimeError` where it would exceed `MAX_PROGRAMS`.
    """
    matrix, upper = rules.as_upper_bounds(scores.size)
    largest = np.abs(scores[np.isfinite(scores)]).max(initial=0.0)
    values = scores.reshape(-1) / (largest or 1.0)
    search = _Search(matrix, upper, values, lambda v: _flat(argmax(v.reshape(scores.shape))))
    nodes = [(frozenset(), frozenset())]
    while nodes:
        off, on = nodes.pop()
        mixture = search.best_mixture(sorted(off), sorted(on))
        if mixture is not None:
            doubt = np.abs(mixture - mixture.round())
            cell = int(doubt.argmax())
            if doubt[cell] > SLACK:
                nodes += [(off | {cell}, on), (off, on | {cell})]
    return None if search.best is None else search.best.reshape(scores.shape)


def _flat(z: np.ndarray | None) -> np.ndarray | None:
    return None if z is None else z.reshape(-1)


class _Search:
    """The best structure up to now, and all that were seen."""

    def __init__(
        self,
        matrix: np.ndarray,
        upper: np.ndarray,
        values: np.ndarray,
        argmax: Callable[[np.ndarray], np.ndarray | None],
    ) -> None:
        self.best: np.ndarray | None = None
        self._worth = -np.inf
        self._matrix, self._upper, self._values, self._argmax = matrix, upper, values, argmax
        self._seen: list[np.ndarray] = []
        self._num_programs = 0

    def best_mixture(self, off: list[int], on: list[int]) -> np.ndarray | None:
        """
        The best mixture with these cells off and on, or `None` where there is none or none that is better than the best
        structure up to now.
        """
        matrix = np.concatenate((self._matrix, -np.eye(len(self._values))[on]))
        upper = np.concatenate((self._upper, np.full(len(on), -1.0)))
        values = self._values.copy()
        values[off] = -np.inf
        columns = [z for z in self._seen if not z[off].any()]
        if not columns:
            first = self._argmax(values)
            if first is None:
                return None
            columns.append(self._see(first))
        # As long as no mixture obeys the rules, that is all that counts.
        is_legal = False
        while True:
            self._num_programs += 1
            if self._num_programs > MAX_PROGRAMS:
                raise RuntimeError(f"the best structure under rules needs more than {MAX_PROGRAMS} linear programs")
            structures = np.stack(columns, 1)
            weights, excess, costs, worth = _mix(structures, self._values, matrix, upper, is_legal)
            if not is_legal and excess < SLACK:
                is_legal = True
                continue
            prices = np.where(values > -np.inf, (self._values if is_legal else 0.0) - costs @ matrix, -np.inf)
            z = self._argmax(prices)
            price = prices[z > 0].sum()
            if is_legal and price + costs @ upper <= self._worth + GAP:
                return None
            if price <= worth + GAP or any((z == column).all() for column in columns):
                return structures @ weights if is_legal else None
            columns.append(self._see(z))

    def _see(self, z: np.ndarray) -> np.ndarray:
        worth = self._values[z > 0].sum()
        if worth > self._worth and (self._matrix @ z <= self._upper).all():
            self.best, self._worth = z, worth
        self._seen.append(z)
        return z


def _mix(
    structures: np.ndarray, values: np.ndarray, matrix: np.ndarray, upper: np.ndarray, is_legal: bool
) -> tuple[np.ndarray, float, np.ndarray, float]:
    """
    The weights of the best mixture of `structures`, `(cells, n)`, or unless it `is_legal` of the one that exceeds
    `upper` the least, and by how much; what each rule costs in it; and what a structure has to be worth beyond its
    costs to join.
    """
    from scipy.optimize import linprog

    num_rules, num_structures = len(upper), structures.shape[1]
    worths = values.clip(min=-1e9) @ structures
    result = linprog(
        np.concatenate((-worths, np.zeros(num_rules)) if is_legal else (0 * worths, np.ones(num_rules))),
        A_ub=np.concatenate((matrix @ structures, -np.eye(num_rules)), 1),
        b_ub=upper,
        A_eq=np.concatenate((np.ones(num_structures), np.zeros(num_rules)))[None],
        b_eq=[1.0],
        # What has been within the slack stays there.
        bounds=[(0, None)] * num_structures + [(0, SLACK if is_legal else None)] * num_rules,
        method="highs-ds",
    )
    if result.status != 0:
        raise RuntimeError(f"a linear program is not solved: {result.message}")
    excess = result.x[num_structures:].sum()
    return result.x[:num_structures], excess, -result.ineqlin.marginals, -result.eqlin.marginals[0]
