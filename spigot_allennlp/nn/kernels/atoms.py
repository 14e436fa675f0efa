"""Structures, of which few parts are 1, and least squares over their affine hull."""

from typing import NamedTuple

import numpy as np
from numba import njit

# A vertex whose squared distance to the affine hull of the atoms is below this, relative to its size, lies in it.
DEPENDENCE_TOLERANCE = 1e-10
# Sums may be taken in any order, so that they use vector instructions.
_FAST_SUMS = {"reassoc", "contract"}


class Atoms(NamedTuple):
    """The atoms of one sentence, affinely independent; or of a batch, with one more axis before the others."""

    # (atoms, parts) uint32: the cells in which an atom is 1, in its first num_parts cells; num_parts is (atoms,) int64.
    # Unsigned indices need no wrapping.
    parts: np.ndarray
    num_parts: np.ndarray
    # (atoms,) float64
    weights: np.ndarray
    # (atoms * (atoms + 1) / 2,) float64: the Cholesky factor L of the matrix of `1 + atom . atom`, row by row
    factor: np.ndarray
    # (atoms,) float64: the solution of `L price = 1`
    price: np.ndarray


@njit(nogil=True, cache=True)
def of_sentence(atoms: Atoms, b: int) -> Atoms:
    return Atoms(atoms.parts[b], atoms.num_parts[b], atoms.weights[b], atoms.factor[b], atoms.price[b])


@njit(nogil=True, cache=True)
def row_of(factor: np.ndarray, i: int) -> np.ndarray:
    start = i * (i + 1) // 2
    return factor[start : start + i + 1]


@njit(nogil=True, cache=True)
def most_parts(vertices: np.ndarray) -> int:
    """How many cells of a vertex, `(n, cells)`, are not 0, at most."""
    most = 0
    for vertex in vertices:
        count = 0
        for cell in range(len(vertex)):
            count += vertex[cell] != 0.0
        most = max(most, count)
    return most


@njit(nogil=True, cache=True)
def mixtures(atoms: Atoms, sizes: np.ndarray, projection: np.ndarray, parts: np.ndarray, weights: np.ndarray) -> None:
    """
    Writes the weighted sums of the atoms of a batch into `projection`, `(batch, cells)` of zeros, and what there is of
    the atoms into `parts`, `(batch, atoms, parts)` of -1, and `weights`, `(batch, atoms)` of zeros.
    """
    for b in range(len(sizes)):
        mine = of_sentence(atoms, b)
        subtract(projection[b], mine, sizes[b], mine.weights, -1.0)
        weights[b, : sizes[b]] = mine.weights[: sizes[b]]
        for atom in range(sizes[b]):
            parts[b, atom, : mine.num_parts[atom]] = mine.parts[atom, : mine.num_parts[atom]]


@njit(nogil=True, cache=True)
def load(vertex: np.ndarray, atoms: Atoms, size: int) -> bool:
    """Writes the parts of a vertex behind the `size` atoms that there are. Returns whether it is 0/1."""
    count = 0
    for cell in range(len(vertex)):
        if vertex[cell] != 0.0:
            if vertex[cell] != 1.0:
                return False
            atoms.parts[size, count] = cell
            count += 1
    atoms.num_parts[size] = count
    return True


@njit(nogil=True, cache=True, fastmath=_FAST_SUMS)
def append(vertex: np.ndarray, atoms: Atoms, size: int) -> bool:
    """
    Makes the vertex, which has been [loaded](#load), one more atom of weight 0; returns False if it lies in the affine
    hull of the others.
    """
    new = row_of(atoms.factor, size)
    for atom in range(size + 1):
        product = 1.0
        cells = atoms.parts[atom]
        for i in range(atoms.num_parts[atom]):
            product += vertex[cells[i]]
        new[atom] = product
    distance = new[size]
    price = 1.0
    for i in range(size):
        row = row_of(atoms.factor, i)
        value = new[i]
        for j in range(i):
            value -= row[j] * new[j]
        new[i] = value / row[i]
        distance -= new[i] ** 2
        price -= new[i] * atoms.price[i]
    if size > 0 and distance < DEPENDENCE_TOLERANCE * new[size]:
        return False
    new[size] = np.sqrt(distance)
    atoms.price[size] = price / new[size]
    atoms.weights[size] = 0.0
    return True


@njit(nogil=True, cache=True)
def drop(atoms: Atoms, size: int, gone: int) -> None:
    """Removes one of the atoms; the factor of those that stay is made triangular again by Givens rotations."""
    parts, num_parts, weights, factor, price = atoms
    cosine, sine = np.empty(size), np.empty(size)
    for atom in range(gone, size - 1):
        parts[atom] = parts[atom + 1]
        num_parts[atom] = num_parts[atom + 1]
        weights[atom] = weights[atom + 1]
        # A row moves up, and is then one longer than it may be.
        old, new = row_of(factor, atom + 1), row_of(factor, atom)
        new[:gone] = old[:gone]
        last = old[gone]
        for i in range(gone, atom):
            new[i] = cosine[i] * last + sine[i] * old[i + 1]
            last = cosine[i] * old[i + 1] - sine[i] * last
        new[atom] = np.hypot(last, old[atom + 1])
        cosine[atom] = last / new[atom]
        sine[atom] = old[atom + 1] / new[atom]
        left, right = price[atom], price[atom + 1]
        price[atom] = cosine[atom] * left + sine[atom] * right
        price[atom + 1] = cosine[atom] * right - sine[atom] * left


@njit(nogil=True, cache=True, fastmath=_FAST_SUMS)
def worth_of(values: np.ndarray, atoms: Atoms, atom: int) -> float:
    """`values . atom`"""
    total = 0.0
    cells = atoms.parts[atom]
    for i in range(atoms.num_parts[atom]):
        total += values[cells[i]]
    return total


@njit(nogil=True, cache=True)
def relative_worths(values: np.ndarray, atoms: Atoms, size: int, worth: np.ndarray) -> None:
    """
    What the atoms are worth less what the first is worth: differences that vanish at the end, and then are to be exact.
    Hence the sums carry their rounding errors along ([Ogita, Rump & Oishi, 2005](https://doi.org/10.1137/030601818),
    algorithm 4.1).
    """
    reference = worth_of(values, atoms, 0)
    for atom in range(size):
        total = -reference
        lost = 0.0
        for cell in atoms.parts[atom, : atoms.num_parts[atom]]:
            before = total
            total += values[cell]
            added = total - before
            lost += (before - (total - added)) + (values[cell] - added)
        worth[atom] = total + lost


@njit(nogil=True, cache=True)
def largest_value(values: np.ndarray, atoms: Atoms, atom: int) -> float:
    """The largest absolute value in the cells of an atom, or 1 if that is below 1."""
    largest = 1.0
    for cell in atoms.parts[atom, : atoms.num_parts[atom]]:
        largest = max(largest, abs(values[cell]))
    return largest


@njit(nogil=True, cache=True)
def subtract(values: np.ndarray, atoms: Atoms, size: int, step: np.ndarray, fraction: float) -> None:
    """`values -= fraction * step . atoms`"""
    for atom in range(size):
        amount = fraction * step[atom]
        cells = atoms.parts[atom]
        for i in range(atoms.num_parts[atom]):
            values[cells[i]] -= amount


@njit(nogil=True, cache=True)
def refresh(target: np.ndarray, residual: np.ndarray, atoms: Atoms, size: int) -> None:
    """The residual is the target less the weighted sum of the atoms."""
    residual[:] = target
    subtract(residual, atoms, size, atoms.weights, 1.0)


@njit(nogil=True, cache=True, fastmath=_FAST_SUMS)
def step_by_worths(worth: np.ndarray, atoms: Atoms, size: int, step: np.ndarray) -> None:
    """
    The change of weights, summing to 0, that leads to the point of the affine hull that is nearest to some other: the
    solution of `(1 + atoms . atoms) step = worth - c`, where `worth` is what the atoms are worth in the direction that
    is left to go, but for a constant, and `c` is what makes the step sum to 0.
    """
    along = 0.0
    square = 0.0
    for i in range(size):
        row = row_of(atoms.factor, i)
        value = worth[i]
        for j in range(i):
            value -= row[j] * step[j]
        step[i] = value / row[i]
        along += step[i] * atoms.price[i]
        square += atoms.price[i] ** 2
    for i in range(size):
        step[i] -= along / square * atoms.price[i]
    _solve_transposed(atoms.factor, size, step)


@njit(nogil=True, cache=True, fastmath=_FAST_SUMS)
def step_by_gain(gain: float, atoms: Atoms, size: int, step: np.ndarray) -> None:
    """
    As [`step_by_worths`](#step_by_worths), where the last atom is worth `gain` more than the others, and these are
    worth the same: the other solution that takes is a multiple of a unit vector.
    """
    square = 0.0
    for i in range(size):
        square += atoms.price[i] ** 2
    top = gain / row_of(atoms.factor, size - 1)[size - 1]
    for i in range(size):
        step[i] = -top * atoms.price[size - 1] / square * atoms.price[i]
    step[size - 1] += top
    _solve_transposed(atoms.factor, size, step)


@njit(nogil=True, cache=True, fastmath=_FAST_SUMS)
def _solve_transposed(factor: np.ndarray, size: int, step: np.ndarray) -> None:
    for i in range(size - 1, -1, -1):
        row = row_of(factor, i)
        value = step[i] / row[i]
        for j in range(i):
            step[j] -= row[j] * value
        step[i] = value
