"""Cholesky factors of parts of a matrix that is nearly singular."""

import numpy as np
from numba import njit

# A pivot of a Cholesky factor below this, relative to the diagonal, is 0 but for rounding.
FLAT = 1e-9
# Sums may be taken in any order, so that they use vector instructions.
FAST_SUMS = {"reassoc", "contract"}


@njit(nogil=True, cache=True, fastmath=FAST_SUMS)
def factorise(matrix: np.ndarray, basis: np.ndarray, known: int, flat: float, factor: np.ndarray) -> None:
    """
    The Cholesky factor of the rows and columns `basis` of a matrix, with the reciprocal of its diagonal; the first
    `known` rows are kept. A pivot that vanishes, because nothing depends on that variable or others can stand in for
    it, becomes `flat`.
    """
    for i in range(known, len(basis)):
        row = factor[i]
        pivot = matrix[basis[i], basis[i]]
        for j in range(i):
            value = matrix[basis[i], basis[j]]
            other = factor[j]
            for t in range(j):
                value -= row[t] * other[t]
            row[j] = value * other[j]
            pivot -= row[j] ** 2
        if pivot < FLAT * max(matrix[basis[i], basis[i]], 1.0):
            pivot = flat
        row[i] = 1.0 / np.sqrt(pivot)


@njit(nogil=True, cache=True, fastmath=FAST_SUMS)
def solve_by_factor(factor: np.ndarray, values: np.ndarray) -> None:
    """Solves for `values`, in place, by what [`factorise`](#factorise) made."""
    for i in range(len(values)):
        row = factor[i]
        value = values[i]
        for j in range(i):
            value -= row[j] * values[j]
        values[i] = value * row[i]
    for i in range(len(values) - 1, -1, -1):
        row = factor[i]
        values[i] *= row[i]
        for j in range(i):
            values[j] -= row[j] * values[i]
