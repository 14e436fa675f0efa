import numpy as np
from numba import njit

IMPROVED, DONE, STALLED, INVALID = 0, 1, 2, 3

# The duality gap bounds the squared distance to the projection.
GAP_TOLERANCE = 1e-12
# A vertex whose squared distance to the affine hull of the atoms is below this, relative to its size, lies in it.
DEPENDENCE_TOLERANCE = 1e-10
# Sums may be taken in any order, so that they use vector instructions.
_FAST_SUMS = {"reassoc", "contract"}


@njit(nogil=True, cache=True)
def improve(
    sentences: np.ndarray,
    vertices: np.ndarray,
    target: np.ndarray,
    projection: np.ndarray,
    parts: np.ndarray,
    weights: np.ndarray,
    factor: np.ndarray,
    sizes: np.ndarray,
) -> np.ndarray:
    """
    One major cycle of Wolfe's method for each of some `sentences` of a batch, with the vertex that is best in the
    direction `target - projection`. Returns the status of each.

    # Parameters

    sentences : `(n,)` int64, and `vertices` : `(n, cells)`, 0/1.
    target, projection : `(batch, cells)` float64. The projection is the weighted sum of the atoms.
    parts : `(batch, atoms, parts)` int32: the cells in which an atom is 1, and then -1.
    weights : `(batch, atoms)` float64, not negative.
    factor : `(batch, atoms, atoms)` float64: the Cholesky factor of `1 + atom . atom`.
    sizes : `(batch,)` int64: how many atoms there are. All but `target` and the first two are updated.
    """
    status = np.empty(len(sentences), np.int64)
    for i, b in enumerate(sentences):
        status[i], sizes[b] = _major_cycle(
            vertices[i], target[b], projection[b], parts[b], weights[b], factor[b], sizes[b]
        )
    return status


@njit(nogil=True, cache=True)
def _major_cycle(
    vertex: np.ndarray,
    target: np.ndarray,
    projection: np.ndarray,
    parts: np.ndarray,
    weights: np.ndarray,
    factor: np.ndarray,
    size: int,
) -> tuple[int, int]:
    """Returns the status and the new number of atoms."""
    count = 0
    for cell in range(len(vertex)):
        if vertex[cell] != 0.0:
            if vertex[cell] != 1.0 or not np.isfinite(target[cell]):
                return INVALID, size
            parts[size, count] = cell
            count += 1
    parts[size, count:] = -1

    worth = _worths(target, projection, parts[: size + 1])
    scale = max(1.0, _largest_residual(target, projection, parts[: size + 1]))
    if size > 0 and worth[size] - (weights[:size] * worth[:size]).sum() <= GAP_TOLERANCE * scale:
        return DONE, size
    if not _append(vertex, parts, factor, size):
        return STALLED, size
    weights[size] = 1.0 if size == 0 else 0.0
    size += 1

    # Minor cycles: go towards the nearest point of the atoms' affine hull. Where that way leaves their convex hull,
    # stop, drop what has lost its weight, and go on with the others.
    while True:
        step = _step_to_affine_projection(worth, factor)
        fraction = 1.0
        blocking = -1
        for atom in range(size):
            if weights[atom] + step[atom] <= 0.0:
                reach = 0.0 if weights[atom] == 0.0 else -weights[atom] / step[atom]
                if blocking < 0 or reach < fraction:
                    fraction = reach
                    blocking = atom
        if fraction == 0.0:
            # Only the newcomer has no weight yet: it does not help.
            return STALLED, size - 1
        weights[:size] += fraction * step
        if blocking >= 0:
            weights[blocking] = 0.0
            for atom in range(size - 1, -1, -1):
                if weights[atom] <= 0.0:
                    size = _drop(parts, weights, factor, size, atom)
        projection[:] = 0.0
        for atom in range(size):
            for cell in parts[atom]:
                if cell >= 0:
                    projection[cell] += weights[atom]
        if blocking < 0:
            return IMPROVED, size
        worth = _worths(target, projection, parts[:size])


@njit(nogil=True, cache=True)
def _worths(target: np.ndarray, projection: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """
    What each atom is worth, `(target - projection) . atom`, less what the first is worth: differences that vanish at
    the end, and then are to be exact. Hence the sums carry their rounding errors along ([Ogita, Rump & Oishi,
    2005](https://doi.org/10.1137/030601818), algorithm 4.1).
    """
    worth = np.zeros(len(atoms))
    reference = 0.0
    for cell in atoms[0]:
        if cell >= 0:
            reference += target[cell] - projection[cell]
    for atom in range(len(atoms)):
        total = -reference
        lost = 0.0
        for cell in atoms[atom]:
            if cell >= 0:
                residual = target[cell] - projection[cell]
                before = total
                total += residual
                added = total - before
                lost += (before - (total - added)) + (residual - added)
        worth[atom] = total + lost
    return worth


@njit(nogil=True, cache=True)
def _largest_residual(target: np.ndarray, projection: np.ndarray, atoms: np.ndarray) -> float:
    largest = 0.0
    for atom in range(len(atoms)):
        for cell in atoms[atom]:
            if cell >= 0:
                largest = max(largest, abs(target[cell] - projection[cell]))
    return largest


@njit(nogil=True, cache=True, fastmath=_FAST_SUMS)
def _step_to_affine_projection(worth: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """
    The change of the weights, summing to 0, that leads to the nearest point of the atoms' affine hull. With the Gram
    matrix `G` of the atoms it solves `(G + 1) step = worth - price`, where `price` is what makes it sum to 0.
    """
    size = len(worth)
    step = np.empty(size)
    price = np.empty(size)
    for i in range(size):
        row = factor[i]
        known_step = 0.0
        known_price = 0.0
        for j in range(i):
            known_step += row[j] * step[j]
            known_price += row[j] * price[j]
        step[i] = (worth[i] - known_step) / row[i]
        price[i] = (1.0 - known_price) / row[i]
    step -= (step * price).sum() / (price * price).sum() * price
    for i in range(size - 1, -1, -1):
        row = factor[i]
        value = step[i] / row[i]
        for j in range(i):
            step[j] -= row[j] * value
        step[i] = value
    return step


@njit(nogil=True, cache=True, fastmath=_FAST_SUMS)
def _append(vertex: np.ndarray, parts: np.ndarray, factor: np.ndarray, size: int) -> bool:
    """Adds the row of the vertex to the Cholesky factor; False if it lies in the affine hull of the atoms."""
    new = factor[size]
    for atom in range(size + 1):
        new[atom] = 1.0
        for cell in parts[atom]:
            if cell >= 0:
                new[atom] += vertex[cell]
    distance = new[size]
    for i in range(size):
        row = factor[i]
        known = 0.0
        for j in range(i):
            known += row[j] * new[j]
        new[i] = (new[i] - known) / row[i]
        distance -= new[i] ** 2
    if distance < DEPENDENCE_TOLERANCE * new[size]:
        return False
    new[size] = np.sqrt(distance)
    return True


@njit(nogil=True, cache=True)
def _drop(parts: np.ndarray, weights: np.ndarray, factor: np.ndarray, size: int, gone: int) -> int:
    """Removes one atom; the Cholesky factor of those that stay is made triangular again by Givens rotations."""
    for atom in range(gone, size - 1):
        parts[atom] = parts[atom + 1]
        weights[atom] = weights[atom + 1]
        factor[atom, : atom + 2] = factor[atom + 1, : atom + 2]
    for i in range(gone, size - 1):
        radius = np.hypot(factor[i, i], factor[i, i + 1])
        cosine = factor[i, i] / radius
        sine = factor[i, i + 1] / radius
        for j in range(i, size - 1):
            left = factor[j, i]
            right = factor[j, i + 1]
            factor[j, i] = cosine * left + sine * right
            factor[j, i + 1] = cosine * right - sine * left
    return size - 1
