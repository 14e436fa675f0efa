import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels.atoms import (
    Atoms,
    append,
    drop,
    largest_value,
    load,
    of_sentence,
    refresh,
    relative_worths,
    step_by_gain,
    step_by_worths,
    subtract,
    worth_of,
)

IMPROVED, DONE, STALLED, INVALID = 0, 1, 2, 3

# The duality gap bounds the squared distance to the projection.
GAP_TOLERANCE = 1e-12
# From this gap on, rounding is kept in check.
NEAR = 1e-7


@njit(nogil=True, cache=True)
def improve(
    sentences: np.ndarray,
    vertices: np.ndarray,
    target: np.ndarray,
    residual: np.ndarray,
    atoms: Atoms,
    sizes: np.ndarray,
) -> np.ndarray:
    """
    One [`major_cycle`](#major_cycle) for each of some `sentences`, `(n,)` int64, of a batch, with one of the
    `vertices`, `(n, cells)`. Returns the status of each. `target` and `residual` are `(batch, cells)` float64; `sizes`,
    `(batch,)` int64, is how many atoms there are.
    """
    status = np.empty(len(sentences), np.int64)
    for i, b in enumerate(sentences):
        status[i], sizes[b] = major_cycle(vertices[i], target[b], residual[b], of_sentence(atoms, b), sizes[b])
    return status


@njit(nogil=True, cache=True)
def major_cycle(
    vertex: np.ndarray, target: np.ndarray, residual: np.ndarray, atoms: Atoms, size: int
) -> tuple[int, int]:
    """
    A major cycle of Wolfe's method with the `vertex` that is best in the direction `residual`, which is `target` less
    the weighted sum of the atoms. Returns a status and the new number of atoms.

    Between cycles the sum is the point of the atoms' affine hull that is nearest to the target, so that all atoms are
    worth the same in the direction of the residual. Far from the end that is taken for granted, which saves most of the
    work; near it the residual is computed anew, and what the atoms are worth, with care.
    """
    if not load(vertex, atoms, size):
        return INVALID, size
    for cell in atoms.parts[size, : atoms.num_parts[size]]:
        if not np.isfinite(target[cell]):
            return INVALID, size
    if size == 0:
        append(vertex, atoms, 0)
        atoms.weights[0] = 1.0
        refresh(target, residual, atoms, 1)
        return IMPROVED, 1
    step = np.empty(size + 1)
    gain = worth_of(residual, atoms, size) - worth_of(residual, atoms, 0)
    scale = max(largest_value(residual, atoms, size), largest_value(residual, atoms, 0))
    if gain > NEAR * scale and append(vertex, atoms, size):
        new_size = _minor_cycles(gain, residual, atoms, size + 1, step)
        if new_size > 0:
            return IMPROVED, new_size
    refresh(target, residual, atoms, size)
    worth = np.empty(size + 1)
    relative_worths(residual, atoms, size + 1, worth)
    for atom in range(size + 1):
        scale = max(scale, largest_value(residual, atoms, atom))
    if worth[size] - (atoms.weights[:size] * worth[:size]).sum() <= GAP_TOLERANCE * scale:
        return DONE, size
    if append(vertex, atoms, size):
        new_size = _careful_minor_cycles(worth, target, residual, atoms, size + 1, step)
        if new_size > 0:
            return IMPROVED, new_size
    return STALLED, size


@njit(nogil=True, cache=True)
def _minor_cycles(gain: float, residual: np.ndarray, atoms: Atoms, size: int, step: np.ndarray) -> int:
    """
    Goes towards the nearest point of the atoms' affine hull; where that way leaves their convex hull, it stops, drops
    what has lost its weight, and goes on with the others. Returns how many atoms there are then; 0, and nothing is
    changed, if the newest does not help.
    """
    while True:
        step_by_gain(gain, atoms, size, step)
        fraction = _take_step(residual, atoms, size, step)
        if fraction == 0.0:
            return 0
        size = _drop_weightless(atoms, size)
        if fraction == 1.0:
            return size
        gain *= 1.0 - fraction


@njit(nogil=True, cache=True)
def _careful_minor_cycles(
    worth: np.ndarray, target: np.ndarray, residual: np.ndarray, atoms: Atoms, size: int, step: np.ndarray
) -> int:
    """As [`_minor_cycles`](#_minor_cycles), with what each of the atoms is worth."""
    while True:
        step_by_worths(worth, atoms, size, step)
        fraction = _take_step(residual, atoms, size, step)
        if fraction == 0.0:
            return 0
        size = _drop_weightless(atoms, size)
        refresh(target, residual, atoms, size)
        if fraction == 1.0:
            return size
        relative_worths(residual, atoms, size, worth)


@njit(nogil=True, cache=True)
def _take_step(residual: np.ndarray, atoms: Atoms, size: int, step: np.ndarray) -> float:
    """Changes the weights by as much of the step as leaves none negative. Returns which fraction that is."""
    fraction = 1.0
    blocking = -1
    for atom in range(size):
        if atoms.weights[atom] + step[atom] <= 0.0:
            reach = 0.0 if atoms.weights[atom] == 0.0 else -atoms.weights[atom] / step[atom]
            if blocking < 0 or reach < fraction:
                fraction = reach
                blocking = atom
    if fraction > 0.0:
        for atom in range(size):
            atoms.weights[atom] += fraction * step[atom]
        if blocking >= 0:
            atoms.weights[blocking] = 0.0
        subtract(residual, atoms, size, step, fraction)
    return fraction


@njit(nogil=True, cache=True)
def _drop_weightless(atoms: Atoms, size: int) -> int:
    for atom in range(size - 1, -1, -1):
        if atoms.weights[atom] <= 0.0:
            drop(atoms, size, atom)
            size -= 1
    return size
