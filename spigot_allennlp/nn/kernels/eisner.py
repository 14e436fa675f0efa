import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE, OK
from spigot_allennlp.nn.kernels.sentence import load_sentence

RIGHT, LEFT, OPEN = 0, 1, 2


@njit(nogil=True, cache=True)
def maximum_projective_trees(scores: np.ndarray, mask: np.ndarray, single_root: bool, z: np.ndarray) -> tuple[int, int]:
    """
    Writes the best projective tree of every sentence into `z`, which comes in as zeros; see
    [`maximum_projective_tree`](../eisner.md). Returns a status and the sentence it is about.

    Spans from i to j with their head at the left end (`right`) or the right end (`left`), complete, or still open
    (`right_open`, `left_open`), where the arc between both ends has just been drawn:

        both[i, j]       = max_{i <= k < j} right[i, k] + left[k + 1, j]
        right_open[i, j] = both[i, j] + arc[j, i]        right[i, j] = max_{i < k <= j} right_open[i, k] + right[k, j]
        left_open[i, j]  = both[i, j] + arc[i, j]        left[i, j]  = max_{i <= k < j} left[i, k] + left_open[k, j]
    """
    batch_size, length = mask.shape
    token = np.empty(length, np.int64)
    arc = np.empty((length, length), np.float64)
    right = np.empty((length, length), np.float64)
    left = np.empty((length, length), np.float64)
    right_open = np.empty((length, length), np.float64)
    left_open = np.empty((length, length), np.float64)
    both = np.empty(length, np.float64)
    agenda = np.empty((2 * length, 3), np.int64)

    for sentence in range(batch_size):
        size = load_sentence(scores[sentence], mask[sentence], token, arc)
        if size < 0:
            return NOT_A_SCORE, sentence
        if size == 1:
            continue
        last = size - 1
        first = 1 if single_root else 0
        for i in range(last, first - 1, -1):
            _fill_row(i, size, arc, right, left, right_open, left_open, both)

        top, best = 0, right[0, last]
        if single_root:
            best = -np.inf
            for k in range(1, size):
                total = left[1, k] + arc[k, 0] + right[k, last]
                if total > best:
                    best = total
                    top = k
        if best == -np.inf:
            return NO_STRUCTURE, sentence
        agenda[0] = RIGHT, top, last
        agenda[1] = LEFT, 1, top
        pending = 1
        if single_root:
            z[sentence, token[top], 0] = 1
            pending = 2

        # No back pointers are kept: the spans of the best tree look for their split again.
        while pending > 0:
            pending -= 1
            kind, i, j = agenda[pending]
            if i == j:
                continue
            best = -np.inf
            split = i
            if kind == OPEN:
                for k in range(i, j):
                    if right[i, k] + left[k + 1, j] > best:
                        best = right[i, k] + left[k + 1, j]
                        split = k
                agenda[pending] = RIGHT, i, split
                agenda[pending + 1] = LEFT, split + 1, j
            elif kind == RIGHT:
                for k in range(i + 1, j + 1):
                    if right_open[i, k] + right[k, j] > best:
                        best = right_open[i, k] + right[k, j]
                        split = k
                z[sentence, token[split], token[i]] = 1
                agenda[pending] = OPEN, i, split
                agenda[pending + 1] = RIGHT, split, j
            else:
                for k in range(i, j):
                    if left[i, k] + left_open[k, j] > best:
                        best = left[i, k] + left_open[k, j]
                        split = k
                z[sentence, token[split], token[j]] = 1
                agenda[pending] = LEFT, i, split
                agenda[pending + 1] = OPEN, split, j
            pending += 2
    return OK, 0


@njit(nogil=True, cache=True)
def _fill_row(i, size, arc, right, left, right_open, left_open, both):
    """
    All spans that begin at i, when those that begin later are known. As soon as one is final it is pushed into all
    longer ones that it is the left half of, so that the inner loop runs along rows in memory.
    """
    right_i, left_i = right[i], left[i]
    right_i[i] = 0.0
    left_i[i] = 0.0
    for j in range(i + 1, size):
        both[j] = left[i + 1, j]
        right_i[j] = -np.inf
        left_i[j] = -np.inf
    for j in range(i + 1, size):
        right_open[i, j] = both[j] + arc[j, i]
        left_open[i, j] = both[j] + arc[i, j]
        right_i[j] = max(right_i[j], right_open[i, j])
        left_i[j] = max(left_i[j], left_open[i, j])
        if j + 1 < size:
            halves = right_open[i, j], left_i[j], right_i[j]
            _push(halves, (right[j], left_open[j], left[j + 1]), (right_i, left_i, both), j + 1, size)


# All three in one loop, which is short. Unsigned indices need no wrapping, without which it is vectorised.
@njit(nogil=True, cache=True)
def _push(halves, rests, wholes, start, stop):
    (first, second, third), (first_rest, second_rest, third_rest) = halves, rests
    first_whole, second_whole, third_whole = wholes
    for t in range(np.uint64(start), np.uint64(stop)):
        first_whole[t] = max(first_whole[t], first + first_rest[t])
        second_whole[t] = max(second_whole[t], second + second_rest[t])
        third_whole[t] = max(third_whole[t], third + third_rest[t])
