import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def assign_labels(
    scores: np.ndarray, candidates: np.ndarray, deterministic: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    For predicates with `scores` of shape `(predicates, arguments, labels)`: the label of each of the `candidates`,
    `(predicates, arguments)` bool, such that no `deterministic` label, `(labels,)` bool, occurs twice with a predicate
    and the sum of the scores is greatest. Returns the labels and their scores, `(predicates, arguments)`; the score
    is 0 where no arc is better.

    On one side of the assignment are the arguments, on the other the deterministic labels. What is gained by a pair is
    gained over the argument's way out, its best other label or no arc.
    """
    label = np.zeros(candidates.shape, np.int64)
    worth = np.zeros(candidates.shape)
    once = np.flatnonzero(deterministic)
    free = np.flatnonzero(~deterministic)
    for p in range(len(scores)):
        arguments = np.flatnonzero(candidates[p])
        gain = np.empty((len(arguments), len(once)))
        for row, a in enumerate(arguments):
            for i in free:
                if scores[p, a, i] > worth[p, a]:
                    worth[p, a] = scores[p, a, i]
                    label[p, a] = i
            for column, i in enumerate(once):
                gain[row, column] = scores[p, a, i] - worth[p, a]
        for row, column in enumerate(maximum_matching(gain)):
            if column >= 0:
                worth[p, arguments[row]] += gain[row, column]
                label[p, arguments[row]] = once[column]
    return label, worth


@njit(nogil=True, cache=True)
def maximum_matching(gain: np.ndarray) -> np.ndarray:
    """
    The matching of rows to columns with the greatest total gain, as the column of each row; -1 for rows that stay
    alone and gain 0. -inf forbids a pair.

    Rows are matched one by one, each along a shortest augmenting path of costs (-gain) reduced by potentials ([Jonker &
    Volgenant, 1987](https://doi.org/10.1007/BF02278710), section 2). Such a path ends in a column that is free, or in
    leaving alone the row it has come to.
    """
    num_rows, num_columns = gain.shape
    column_of = np.full(num_rows, -1)
    row_of = np.full(num_columns, -1)
    row_potential = np.zeros(num_rows)
    column_potential = np.zeros(num_columns)
    distance = np.empty(num_columns)
    previous_row = np.empty(num_columns, np.int64)
    passed = np.empty(num_columns, np.bool_)
    for start in range(num_rows):
        distance[:] = np.inf
        passed[:] = False
        row = start
        length = 0.0
        left_alone = start
        length_alone = np.inf
        while True:
            if length - row_potential[row] < length_alone:
                left_alone = row
                length_alone = length - row_potential[row]
            nearest = -1
            shortest = length_alone
            for column in range(num_columns):
                if not passed[column]:
                    reduced = -gain[row, column] - row_potential[row] - column_potential[column]
                    if length + reduced < distance[column]:
                        distance[column] = length + reduced
                        previous_row[column] = row
                    if distance[column] < shortest:
                        nearest = column
                        shortest = distance[column]
            length = shortest
            if nearest < 0 or row_of[nearest] < 0:
                break
            passed[nearest] = True
            row = row_of[nearest]

        row_potential[start] += length
        for column in range(num_columns):
            if passed[column]:
                row_potential[row_of[column]] += length - distance[column]
                column_potential[column] -= length - distance[column]

        # From the end of the path back to its start, every row takes the column that it reached.
        column = nearest
        if nearest < 0:
            column = column_of[left_alone]
            column_of[left_alone] = -1
        while column >= 0:
            row = previous_row[column]
            row_of[column] = row
            column, column_of[row] = column_of[row], column
    return column_of
