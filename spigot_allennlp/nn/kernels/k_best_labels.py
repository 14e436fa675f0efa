import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels.label_assignment import maximum_matching

NO_LABEL = -1


@njit(nogil=True, cache=True)
def k_best_labels(
    scores: np.ndarray, candidates: np.ndarray, deterministic: np.ndarray, labels: np.ndarray, totals: np.ndarray
) -> None:
    """
    Fills `labels`, `(predicates, k, arguments)`, with the best choices of labels under the rule of
    [`assign_labels`](./label_assignment.md), whose inputs these are, best first, -1 for none; and `totals`,
    `(predicates, k)`, with what they are worth. They come in as -1 and -inf.

    The method of [Murty, 1968](https://doi.org/10.1287/opre.16.3.682): once the best choice of a set is known, the
    others fall into those that agree with it on the first arguments, but not on the next one.
    """
    for p in range(len(scores)):
        arguments = np.flatnonzero(candidates[p])
        values = np.empty((len(arguments), scores.shape[2]))
        for row, argument in enumerate(arguments):
            values[row] = scores[p, argument]
        _enumerate(values, deterministic, arguments, labels[p], totals[p])


@njit(nogil=True, cache=True)
def _enumerate(scores, deterministic, arguments, labels, totals):
    k, (size, num_labels) = len(labels), scores.shape
    # Sets: their best choice, what it is worth, how many arguments come first, and which labels the next one may not
    # have, NO_LABEL being the last.
    choices = np.empty((k * size + 1, size), np.int64)
    worth = np.full(k * size + 1, -np.inf)
    firsts = np.zeros(k * size + 1, np.int64)
    excluded = np.zeros((k * size + 1, num_labels + 1), np.bool_)
    worth[0] = _best(scores, deterministic, choices[0], 0, excluded[0])
    count = 1
    for rank in range(k):
        best = np.argmax(worth[:count])
        if worth[best] == -np.inf:
            return
        totals[rank] = worth[best]
        labels[rank, arguments] = choices[best]
        worth[best] = -np.inf
        for first in range(firsts[best], size):
            choices[count] = choices[best]
            firsts[count] = first
            excluded[count] = excluded[best] & (first == firsts[best])
            excluded[count, choices[best, first]] = True
            worth[count] = _best(scores, deterministic, choices[count], first, excluded[count])
            count += worth[count] > -np.inf


@njit(nogil=True, cache=True)
def _best(scores, deterministic, choice, first, excluded):
    """
    Writes the best choice that agrees with `choice` on the first arguments, and gives the next one none of the
    `excluded` labels, into `choice`; returns what it is worth, -inf if there is none.
    """
    size, num_labels = scores.shape
    is_free = deterministic.copy()
    for argument in range(first):
        if choice[argument] != NO_LABEL:
            is_free[choice[argument]] = False
    once = np.flatnonzero(is_free)
    # What an argument has without these labels; for the next one there may be nothing else, so that it has to gain.
    way_out = np.zeros(size - first)
    gain = np.empty((size - first, len(once)))
    for row in range(size - first):
        argument = first + row
        choice[argument] = NO_LABEL
        if row == 0 and excluded[NO_LABEL]:
            way_out[row] = -np.inf
        for label in range(num_labels):
            if (
                not deterministic[label]
                and not (row == 0 and excluded[label])
                and scores[argument, label] > way_out[row]
            ):
                way_out[row] = scores[argument, label]
                choice[argument] = label
    has_way_out = size == first or way_out[0] > -np.inf
    if not has_way_out:
        way_out[0] = _below(scores)
    for row in range(size - first):
        for column in range(len(once)):
            label = once[column]
            score = -np.inf if row == 0 and excluded[label] else scores[first + row, label]
            gain[row, column] = score - way_out[row]
    for row, column in enumerate(maximum_matching(gain)):
        if column >= 0:
            choice[first + row] = once[column]
        elif row == 0 and not has_way_out:
            return -np.inf
    total = 0.0
    for argument in range(size):
        if choice[argument] != NO_LABEL:
            total += scores[argument, choice[argument]]
    return total


@njit(nogil=True, cache=True)
def _below(scores):
    """A number so low that whatever is possible is better."""
    total = 1.0
    for argument in range(len(scores)):
        for score in scores[argument]:
            if score > -np.inf:
                total += 2 * abs(score)
    return -total
