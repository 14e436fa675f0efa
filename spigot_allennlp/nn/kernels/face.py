"""The derivative of a projection onto a hull: the projection of a gradient onto the span of the face it leads to."""

import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels.atoms import (
    Atoms,
    append,
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

EXTENDED, OFF_THE_FACE, DONE = 0, 1, 2

# How much worse than the projection a structure on its face may seem, in the direction that has led there.
FACE_TOLERANCE = 1e-9
# How much a structure must add to the projection of the gradient, relative to the gradient, to matter.
GAIN_TOLERANCE = 1e-9


@njit(nogil=True, cache=True)
def begin(residual: np.ndarray, gradients: np.ndarray, rest: np.ndarray, atoms: Atoms, sizes: np.ndarray) -> np.ndarray:
    """
    Projects the gradients onto the spans of what atoms there are, of which only the parts are known.

    # Parameters

    residual, gradients, rest : `(batch, cells)` float64. The target of the projection less the projection; what is to
        be projected; and what its projection leaves of it, which is written.
    atoms : the weights become those of the gradient's projection, which sum to 0.
    sizes : `(batch,)` int64: how many atoms there are.

    # Returns

    `(batch,)` float64: the largest part of the residual in the atoms.
    """
    vertex = np.zeros(gradients.shape[1])
    scales = np.ones(len(gradients))
    for b in range(len(gradients)):
        mine = of_sentence(atoms, b)
        for atom in range(sizes[b]):
            cells = mine.parts[atom, : mine.num_parts[atom]]
            vertex[cells] = 1.0
            append(vertex, mine, atom)
            vertex[cells] = 0.0
            scales[b] = max(scales[b], largest_value(residual[b], mine, atom))
        _settle(gradients[b], rest[b], mine, sizes[b])
    return scales


@njit(nogil=True, cache=True)
def extend(
    sentences: np.ndarray,
    vertices: np.ndarray,
    residual: np.ndarray,
    scales: np.ndarray,
    rest: np.ndarray,
    largest: np.ndarray,
    atoms: Atoms,
    sizes: np.ndarray,
) -> np.ndarray:
    """
    Offers each of some `sentences`, `(n,)` int64, one of the `vertices`, `(n, cells)`: what is best in the direction of
    the residual and a little of the rest. One that is on the face, and outside the span, becomes an atom. Returns
    whether it has, `(n,)`; if the vertex is on the face and does not, the projection is complete. The other parameters
    are those of [`begin`](#begin), what that returned, and `largest`, `(batch,)`, the size of the gradient.
    """
    status = np.full(len(sentences), DONE)
    for i, b in enumerate(sentences):
        mine = of_sentence(atoms, b)
        newest = sizes[b]
        load(vertices[i], mine, newest)
        loss = worth_of(residual[b], mine, 0) - worth_of(residual[b], mine, newest)
        if loss > FACE_TOLERANCE * scales[b]:
            status[i] = OFF_THE_FACE
            continue
        gain = worth_of(rest[b], mine, newest) - worth_of(rest[b], mine, 0)
        if gain > GAIN_TOLERANCE * largest[b] and append(vertices[i], mine, newest):
            step = np.empty(newest + 1)
            step_by_gain(gain, mine, newest + 1, step)
            mine.weights[: newest + 1] += step
            subtract(rest[b], mine, newest + 1, step, 1.0)
            sizes[b] += 1
            status[i] = EXTENDED
    return status


@njit(nogil=True, cache=True)
def end(gradients: np.ndarray, rest: np.ndarray, atoms: Atoms, sizes: np.ndarray, products: np.ndarray) -> None:
    """Writes the projections of the gradients into `products`, which come in as zeros."""
    for b in range(len(gradients)):
        mine = of_sentence(atoms, b)
        _settle(gradients[b], rest[b], mine, sizes[b])
        subtract(products[b], mine, sizes[b], mine.weights, -1.0)


@njit(nogil=True, cache=True)
def _settle(gradient: np.ndarray, rest: np.ndarray, atoms: Atoms, size: int) -> None:
    """Corrects the weights until rounding is all that is left."""
    worth, step = np.empty(size), np.empty(size)
    for _ in range(2):
        refresh(gradient, rest, atoms, size)
        relative_worths(rest, atoms, size, worth)
        step_by_worths(worth, atoms, size, step)
        atoms.weights[:size] += step
    refresh(gradient, rest, atoms, size)
