import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import OK
from spigot_allennlp.nn.kernels.atoms import Atoms, subtract
from spigot_allennlp.nn.kernels.eisner import maximum_projective_trees
from spigot_allennlp.nn.kernels.min_norm_point import DONE, IMPROVED, major_cycle

# In place of a number of atoms.
NOT_DONE, STALLED = -1, -2


@njit(nogil=True, cache=True)
def project_onto_projective_trees(
    points: np.ndarray, mask: np.ndarray, single_root: bool, max_iterations: int, projections: np.ndarray
) -> tuple[int, int, np.ndarray, np.ndarray, np.ndarray]:
    """
    Writes the projection of every sentence into `projections`, which come in as zeros, by the method of
    [`project_onto_hull`](../active_set.md).

    # Returns

    A status of the argmax and the sentence it is about. The atoms of all sentences, `(atoms, parts)` int32 and
    `(atoms,)` float64: which cells they have, all of one sentence as many, and their weights. And `(batch,)` int64:
    how many are whose, or that a sentence is not done after `max_iterations`, or that rounding ends its progress.
    """
    batch_size, length = mask.shape
    parts = np.empty((16 * batch_size, length), np.int32)
    weights = np.empty(16 * batch_size)
    sizes = np.empty(batch_size, np.int64)
    total = 0
    atoms = _room(16, length)
    residual = np.empty((1, length, length))
    tree = np.empty((1, length, length))
    for sentence in range(batch_size):
        target = points[sentence].copy().reshape(-1)
        residual[0] = points[sentence]
        size = 0
        progress = IMPROVED
        for _ in range(max_iterations):
            tree[:] = 0.0
            status, _ = maximum_projective_trees(residual, mask[sentence : sentence + 1], single_root, tree)
            if status != OK:
                return status, sentence, parts, weights, sizes
            if size == len(atoms.weights):
                atoms = _more_room(atoms)
            progress, size = major_cycle(tree.reshape(-1), target, residual.reshape(-1), atoms, size)
            if progress != IMPROVED:
                break
        sizes[sentence] = size
        if progress != DONE:
            sizes[sentence] = NOT_DONE if progress == IMPROVED else STALLED
            continue
        subtract(projections[sentence].reshape(-1), atoms, size, atoms.weights, -1.0)
        while total + size > len(weights):
            parts = np.concatenate((parts, np.empty_like(parts)))
            weights = np.concatenate((weights, np.empty_like(weights)))
        parts[total : total + size] = -1
        for atom in range(size):
            count = atoms.num_parts[atom]
            parts[total + atom, :count] = atoms.parts[atom, :count]
        weights[total : total + size] = atoms.weights[:size]
        total += size
    return OK, 0, parts[:total].copy(), weights[:total].copy(), sizes


@njit(nogil=True, cache=True)
def _room(num_atoms: int, num_parts: int) -> Atoms:
    return Atoms(
        np.empty((num_atoms, num_parts), np.uint32),
        np.empty(num_atoms, np.int64),
        np.empty(num_atoms),
        np.empty(num_atoms * (num_atoms + 1) // 2),
        np.empty(num_atoms),
    )


@njit(nogil=True, cache=True)
def _more_room(atoms: Atoms) -> Atoms:
    """A copy, with room for twice as many."""
    old, num_parts = atoms.parts.shape
    new = _room(2 * old, num_parts)
    new.parts[:old] = atoms.parts
    new.num_parts[:old] = atoms.num_parts
    new.weights[:old] = atoms.weights
    new.factor[: len(atoms.factor)] = atoms.factor
    new.price[:old] = atoms.price
    return new
