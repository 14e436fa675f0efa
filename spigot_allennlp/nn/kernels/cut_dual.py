"""
The dual of a projection onto rows in the simplex with few arcs inside some sets of tokens, the cuts: a concave,
piecewise quadratic function of one multiplier a cut, and the Newton method that maximises it.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels.cholesky import FAST_SUMS, factorise, solve_by_factor

# How far a cut may be from its bound, while numbers are about 1.
TOLERANCE = 1e-11
# The dual has no maximum where there is no such point. Multipliers that rounding would let stand for more than this
# are taken for the sign of it.
HOPELESS = 1e-6
MAX_STEPS = 300
MAX_TRIALS = 100


class Rows(NamedTuple):
    """One sentence without padding: the point, and the nearest one with rows in the simplex, given the multipliers."""

    # (size, size) float64; the largest of a row is 0, what is not allowed -inf
    point: np.ndarray
    # (size, size) float64
    x: np.ndarray
    # (size, size) int64: in its first count[m] cells, the heads of which token m has some; count is (size,) int64
    support: np.ndarray
    count: np.ndarray


class Cuts(NamedTuple):
    """Sets of tokens, one a row."""

    # (cuts, size) float64, 0/1
    member: np.ndarray
    # (cuts, size) int64: the same as a list, in the first size[k] cells; size is (cuts,) int64
    token: np.ndarray
    size: np.ndarray
    # (cuts,) bool: whether there must be as many arcs inside as the bound says
    exact: np.ndarray
    # (cuts,) float64; not negative unless exact
    multiplier: np.ndarray
    # (cuts,) float64: how many arcs there are inside beyond one less than the tokens
    excess: np.ndarray


@njit(nogil=True, cache=True)
def new_rows(point: np.ndarray) -> Rows:
    size = len(point)
    return Rows(point, np.zeros((size, size)), np.empty((size, size), np.int64), np.zeros(size, np.int64))


@njit(nogil=True, cache=True)
def new_cuts(size: int) -> Cuts:
    """Room for as many as a round may find, on top of as many as may hold a point."""
    room = 4 * size + 8
    return Cuts(
        np.zeros((room, size)),
        np.empty((room, size), np.int64),
        np.zeros(room, np.int64),
        np.zeros(room, np.bool_),
        np.zeros(room),
        np.zeros(room),
    )


@njit(nogil=True, cache=True)
def tolerance(rows: Rows, cuts: Cuts, count: int) -> float:
    """How far cuts may be from their bounds: rounding grows with the multipliers that add up in a row."""
    size = len(rows.point)
    largest = 0.0
    for modifier in range(1, size):
        total = 0.0
        for k in range(count):
            total += abs(cuts.multiplier[k]) * cuts.member[k, modifier]
        largest = max(largest, total)
    return max(TOLERANCE, 32.0 * size * 2.2e-16 * largest)


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def update_row(rows: Rows, cuts: Cuts, active: np.ndarray, modifier: int, value: np.ndarray) -> None:
    """
    Projects what the `active` cuts leave of a row onto the simplex: by the method of Michelot, 1986, as in
    [`project_onto_simplex`](../simplex.md).
    """
    value[:] = rows.point[modifier]
    for k in active:
        if cuts.member[k, modifier] != 0.0:
            for head in range(len(value)):
                value[head] -= cuts.multiplier[k] * cuts.member[k, head]
    largest = -np.inf
    for head in range(len(value)):
        largest = max(largest, value[head])
    threshold = largest - 1.0
    count, before = len(value), len(value) + 1
    while count < before:
        before, count = count, 0
        total = 0.0
        for head in range(len(value)):
            above = value[head] > threshold
            count += above
            total += value[head] - largest if above else 0.0
        threshold = largest + (total - 1.0) / max(count, 1)
    count = 0
    for head in range(len(value)):
        weight = max(value[head] - threshold, 0.0)
        rows.x[modifier, head] = weight
        if weight > 0.0:
            rows.support[modifier, count] = head
            count += 1
    rows.count[modifier] = count


@njit(nogil=True, cache=True, fastmath=FAST_SUMS)
def arcs_inside(rows: Rows, cuts: Cuts, k: int) -> float:
    total = 0.0
    for i in range(cuts.size[k]):
        modifier = cuts.token[k, i]
        for j in range(rows.count[modifier]):
            head = rows.support[modifier, j]
            total += rows.x[modifier, head] * cuts.member[k, head]
    return total


@njit(nogil=True, cache=True, fastmath=FAST_SUMS)
def fill_hessian(rows: Rows, cuts: Cuts, relevant: np.ndarray, hessian: np.ndarray) -> None:
    """
    The second derivatives, with opposite sign, in the multipliers of the `relevant` cuts: for cuts S and T the sum over
    their common tokens m of `c_m(S & T) - c_m(S) c_m(T) / s_m`, where m has some of `s_m` heads, `c_m(S)` of them in S.
    """
    for i in relevant:
        for j in relevant:
            hessian[i, j] = 0.0
    crossing = np.empty(len(relevant), np.int64)
    inside = np.empty(len(relevant))
    for modifier in range(1, len(rows.count)):
        size = rows.count[modifier]
        num_crossing = 0
        for k in relevant:
            if size > 1 and cuts.member[k, modifier] != 0.0:
                total = 0.0
                for i in range(size):
                    total += cuts.member[k, rows.support[modifier, i]]
                # Otherwise its rows and columns vanish.
                if 0.0 < total < size:
                    crossing[num_crossing] = k
                    inside[num_crossing] = total
                    num_crossing += 1
        for a in range(num_crossing):
            first = cuts.member[crossing[a]]
            for b in range(a + 1):
                second = cuts.member[crossing[b]]
                common = 0.0
                for i in range(size):
                    head = rows.support[modifier, i]
                    common += first[head] * second[head]
                common -= inside[a] * inside[b] / size
                hessian[crossing[a], crossing[b]] += common
                if a != b:
                    hessian[crossing[b], crossing[a]] += common


@njit(nogil=True, cache=True)
def _relevant_cuts(cuts: Cuts, count: int, relevant: np.ndarray) -> int:
    """Those that a step may move, at the start of the list `relevant`; returns how many."""
    num_relevant = 0
    for k in range(count):
        if cuts.exact[k] or cuts.multiplier[k] > 0.0 or cuts.excess[k] > 0.0:
            relevant[num_relevant] = k
            num_relevant += 1
    return num_relevant


@njit(nogil=True, cache=True)
def maximise(rows: Rows, cuts: Cuts, count: int, hessian: np.ndarray, factor: np.ndarray) -> bool:
    """
    Finds the multipliers of the first `count` cuts with which those that have one are at their bounds and no other is
    beyond it, and the rows that belong to them. Returns whether it has.
    """
    size = len(rows.point)
    step = np.zeros(count)
    before = np.empty(count)
    value = np.empty(size)
    room = np.empty(count, np.int64)
    touched = np.empty(size, np.bool_)
    for k in range(count):
        cuts.excess[k] = arcs_inside(rows, cuts, k) - (cuts.size[k] - 1)
    for _ in range(MAX_STEPS):
        bound = tolerance(rows, cuts, count)
        error = 0.0
        for k in range(count):
            held = cuts.exact[k] or cuts.multiplier[k] > 0.0
            error = max(error, abs(cuts.excess[k]) if held else cuts.excess[k])
        if bound > HOPELESS:
            return False
        if error <= bound:
            return True
        relevant = room[: _relevant_cuts(cuts, count, room)]
        fill_hessian(rows, cuts, relevant, hessian)
        _newton_step(cuts, relevant, hessian, factor, bound, step)
        if not _search(rows, cuts, relevant, step, bound, before, touched, value):
            return False
        for k in range(count):
            if not (cuts.exact[k] or cuts.multiplier[k] > 0.0):
                cuts.excess[k] = arcs_inside(rows, cuts, k) - (cuts.size[k] - 1)
    return False


@njit(nogil=True, cache=True)
def _newton_step(
    cuts: Cuts, relevant: np.ndarray, hessian: np.ndarray, factor: np.ndarray, bound: float, step: np.ndarray
) -> None:
    """
    `argmin d . H d / 2 - excess . d  s.t.  multiplier + d >= 0` but for exact cuts, by the active-set method of
    [Lawson & Hanson, 1974](https://doi.org/10.1137/1.9781611971217), chapter 23.
    """
    # Where the function is flat, which it is not for long, a step of about 4 times the excess.
    flat = 0.25 / max(1.0, bound / TOLERANCE)
    basis = np.empty(len(relevant), np.int64)
    solution = np.empty(len(relevant))
    in_basis = np.zeros(len(step), np.bool_)
    num_basis = 0
    for k in relevant:
        step[k] = 0.0
        if cuts.exact[k] or cuts.multiplier[k] > 0.0:
            basis[num_basis] = k
            in_basis[k] = True
            num_basis += 1
    known = 0
    for turn in range(3 * len(relevant) + 10):
        best = bound
        entering = -1
        for k in relevant:
            if not in_basis[k]:
                slope = cuts.excess[k]
                if turn > 0:
                    for j in relevant:
                        slope -= hessian[k, j] * step[j]
                if slope > best:
                    best = slope
                    entering = k
        if entering >= 0:
            basis[num_basis] = entering
            in_basis[entering] = True
            num_basis += 1
        elif turn > 0:
            return
        while num_basis > 0:
            factorise(hessian, basis[:num_basis], known, flat, factor)
            known = num_basis
            for i in range(num_basis):
                solution[i] = cuts.excess[basis[i]]
                for j in relevant:
                    if not in_basis[j]:
                        solution[i] -= hessian[basis[i], j] * step[j]
            solve_by_factor(factor, solution[:num_basis])
            fraction = 1.0
            blocking = -1
            for i in range(num_basis):
                k = basis[i]
                if not cuts.exact[k] and cuts.multiplier[k] + solution[i] < 0.0:
                    reach = (cuts.multiplier[k] + step[k]) / (step[k] - solution[i])
                    if reach < fraction:
                        fraction = reach
                        blocking = i
            for i in range(num_basis):
                step[basis[i]] += fraction * (solution[i] - step[basis[i]])
            if blocking < 0:
                break
            leaving = basis[blocking]
            step[leaving] = -cuts.multiplier[leaving]
            in_basis[leaving] = False
            basis[blocking : num_basis - 1] = basis[blocking + 1 : num_basis].copy()
            num_basis -= 1
            known = blocking


@njit(nogil=True, cache=True)
def _search(
    rows: Rows,
    cuts: Cuts,
    relevant: np.ndarray,
    step: np.ndarray,
    bound: float,
    before: np.ndarray,
    touched: np.ndarray,
    value: np.ndarray,
) -> bool:
    """
    Goes along the step until the slope is at most half of what it was: further than to its end where it is still steep
    there, as the function may have been flat where it began. Returns False if the step does not lead upwards.
    """
    first_slope = 0.0
    longest = np.inf
    touched[:] = False
    active = np.empty(len(relevant), np.int64)
    for k in relevant:
        before[k] = cuts.multiplier[k]
        first_slope += cuts.excess[k] * step[k]
        if step[k] < 0.0 and not cuts.exact[k]:
            longest = min(longest, -before[k] / step[k])
        if step[k] != 0.0:
            for i in range(cuts.size[k]):
                touched[cuts.token[k, i]] = True
    if first_slope <= 0.0:
        return False
    low, high, low_slope = 0.0, np.inf, first_slope
    length = min(1.0, longest)
    for _ in range(MAX_TRIALS):
        num_active = 0
        for k in relevant:
            multiplier = before[k] + length * step[k]
            if not cuts.exact[k] and multiplier < 1e-15 * before[k]:
                multiplier = 0.0
            cuts.multiplier[k] = multiplier
            if multiplier != 0.0:
                active[num_active] = k
                num_active += 1
        for modifier in range(1, len(touched)):
            if touched[modifier]:
                update_row(rows, cuts, active[:num_active], modifier, value)
        slope = 0.0
        for k in relevant:
            cuts.excess[k] = arcs_inside(rows, cuts, k) - (cuts.size[k] - 1)
            slope += cuts.excess[k] * step[k]
        if slope > 0.5 * first_slope and length < longest and high == np.inf:
            low, low_slope = length, slope
            length = min(4.0 * length, longest)
        elif slope >= -0.5 * first_slope or abs(slope) < 1e-3 * bound:
            return True
        else:
            high = length
            length = low + (high - low) * max(0.1, min(0.9, low_slope / (low_slope - slope)))
    return True
