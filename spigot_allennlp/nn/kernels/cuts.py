import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE, OK
from spigot_allennlp.nn.kernels.cut_dual import (
    Cuts,
    Rows,
    arcs_inside,
    factorise,
    fill_hessian,
    maximise,
    new_cuts,
    new_rows,
    solve_by_factor,
    tolerance,
    update_row,
)
from spigot_allennlp.nn.kernels.min_cut import separate
from spigot_allennlp.nn.kernels.sentence import load_sentence

# New cuts must be exceeded by this many times what those that are known may be.
MARGIN = 10.0


@njit(nogil=True, cache=True)
def project_onto_arborescences(
    points: np.ndarray, mask: np.ndarray, single_root: bool, max_rounds: int, projections: np.ndarray, done: np.ndarray
) -> tuple[int, int, np.ndarray, np.ndarray]:
    """
    Writes the projection of every sentence into `projections`, which come in as zeros, and whether that worked into
    `done`; see [`project_onto_arborescences`](../cuts.md). Returns a status and the sentence it is about; and the cuts
    that hold the projections where they are, `(cuts, length)` bool: those of sentence `b` are `first[b] : first[b+1]`.

    An arborescence gives each token one head, so that its rows are in the simplex, and has at most `|S| - 1` arcs
    inside any set S of tokens. With a multiplier `l_S >= 0` for each set,

        x_m(l) = the projection of  point_m - sum_{S with m} l_S [head in S]  onto the simplex

    is the nearest point, and what there is inside S beyond the bound is the slope in `l_S` of a concave dual function,
    of which the right multipliers are the maximum. Few sets matter: the known ones are solved for, and minimum cuts
    find others that are exceeded, until there are none. A single root is one more set, of all tokens, whose bound is to
    be reached and whose multiplier may have either sign.
    """
    batch_size, length = mask.shape
    token = np.empty(length, np.int64)
    arc = np.empty((length, length), np.float64)
    held_by = np.zeros((2 * batch_size + 16, length), np.bool_)
    first = np.zeros(batch_size + 1, np.int64)
    for sentence in range(batch_size):
        first[sentence + 1] = first[sentence]
        size = load_sentence(points[sentence], mask[sentence], token, arc)
        if size < 0:
            return NOT_A_SCORE, sentence, held_by, first
        rows = new_rows(arc[:size, :size].copy())
        for modifier in range(1, size):
            largest = rows.point[modifier].max()
            if largest == -np.inf:
                return NO_STRUCTURE, sentence, held_by, first
            rows.point[modifier] -= largest
        cuts = new_cuts(size)
        count = _project(rows, cuts, single_root, max_rounds)
        done[sentence] = count >= 0
        if count < 0:
            continue
        for modifier in range(1, size):
            for i in range(rows.count[modifier]):
                head = rows.support[modifier, i]
                projections[sentence, token[modifier], token[head]] = rows.x[modifier, head]
        while first[sentence] + count > len(held_by):
            held_by = np.concatenate((held_by, np.zeros_like(held_by)))
        for k in range(count):
            for i in range(cuts.size[k]):
                held_by[first[sentence] + k, token[cuts.token[k, i]]] = True
        first[sentence + 1] = first[sentence] + count
    return OK, 0, held_by[: first[batch_size]].copy(), first


@njit(nogil=True, cache=True)
def _project(rows: Rows, cuts: Cuts, single_root: bool, max_rounds: int) -> int:
    """Fills `rows` with the projection. Returns how many cuts hold it, which come first, or -1 if it fails."""
    size = len(rows.point)
    count = 0
    if single_root and size > 1:
        cuts.member[0, 1:] = 1.0
        cuts.token[0, : size - 1] = np.arange(1, size)
        cuts.size[0] = size - 1
        cuts.exact[0] = True
        count = 1
    value = np.empty(size)
    for modifier in range(1, size):
        update_row(rows, cuts, np.empty(0, np.int64), modifier, value)
    room = len(cuts.size)
    hessian, factor = np.empty((room, room)), np.empty((room, room))
    if count > 0 and not maximise(rows, cuts, count, hessian, factor):
        return -1
    for _ in range(max_rounds):
        with_new = separate(rows, cuts, count, MARGIN * tolerance(rows, cuts, count))
        if with_new == count:
            return count
        if with_new < 0 or not maximise(rows, cuts, with_new, hessian, factor):
            return -1
        count = 0
        for k in range(with_new):
            if cuts.exact[k] or cuts.multiplier[k] > 0.0:
                cuts.member[count] = cuts.member[k]
                cuts.token[count] = cuts.token[k]
                cuts.size[count] = cuts.size[k]
                cuts.exact[count] = cuts.exact[k]
                cuts.multiplier[count] = cuts.multiplier[k]
                count += 1
    return -1


@njit(nogil=True, cache=True)
def apply_jacobian(
    projections: np.ndarray, held_by: np.ndarray, first: np.ndarray, gradients: np.ndarray, products: np.ndarray
) -> None:
    """
    Writes the products of `gradients` with the Jacobian of the projection into `products`, which come in as zeros;
    `held_by` and `first` are what [`project_onto_arborescences`](#project_onto_arborescences) has returned.

    While the same weights are positive and the same cuts at their bounds, the projection is linear: onto the changes
    that leave these cuts, the sums of rows and all other weights alone. The Jacobian is symmetric, and that projection.
    """
    size = projections.shape[1]
    for sentence in range(len(projections)):
        count = first[sentence + 1] - first[sentence]
        rows = new_rows(projections[sentence])
        cuts = new_cuts(max(size, count))
        for modifier in range(1, size):
            for head in range(size):
                if projections[sentence, modifier, head] > 0.0:
                    rows.support[modifier, rows.count[modifier]] = head
                    rows.count[modifier] += 1
                    rows.x[modifier, head] = gradients[sentence, modifier, head]
        for k in range(count):
            for token in range(1, size):
                if held_by[first[sentence] + k, token]:
                    cuts.member[k, token] = 1.0
                    cuts.token[k, cuts.size[k]] = token
                    cuts.size[k] += 1
        _centre(rows)
        relevant = np.arange(count)
        hessian, factor = np.empty((count, count)), np.empty((count, count))
        fill_hessian(rows, cuts, relevant, hessian)
        factorise(hessian, relevant, 0, np.inf, factor)
        multiplier = cuts.multiplier[:count]
        for k in relevant:
            multiplier[k] = arcs_inside(rows, cuts, k)
        solve_by_factor(factor, multiplier)
        for k in relevant:
            for i in range(cuts.size[k]):
                modifier = cuts.token[k, i]
                for j in range(rows.count[modifier]):
                    head = rows.support[modifier, j]
                    rows.x[modifier, head] -= multiplier[k] * cuts.member[k, head]
        _centre(rows)
        products[sentence] = rows.x


@njit(nogil=True, cache=True)
def _centre(rows: Rows) -> None:
    """Takes from the values on each row's support their mean."""
    for modifier in range(1, len(rows.count)):
        total = 0.0
        for i in range(rows.count[modifier]):
            total += rows.x[modifier, rows.support[modifier, i]]
        for i in range(rows.count[modifier]):
            rows.x[modifier, rows.support[modifier, i]] -= total / rows.count[modifier]
