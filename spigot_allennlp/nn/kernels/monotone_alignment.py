import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, OK


@njit(nogil=True, cache=True)
def maximum_alignments(scores: np.ndarray, sizes: np.ndarray, z: np.ndarray) -> tuple[int, int]:
    """
    Writes the cells of the best path of every pair into `z`, which comes in as zeros. Scores and `z` are
    `(batch, rows, columns)`; a pair has the first of them, as many as `sizes`, `(batch, 2)`, says. Returns a status and
    the pair it is about.

        best[i, j] = score[i, j] + max(best[i, j - 1], best[i - 1, j], best[i - 1, j - 1])
    """
    _, rows, columns = scores.shape
    # With a border of what cannot be, at index 0.
    best = np.full((rows + 1, columns + 1), -np.inf)
    for pair in range(len(scores)):
        last_row, last_column = sizes[pair]
        if last_row == 0:
            continue
        for i in range(1, last_row + 1):
            for j in range(1, last_column + 1):
                before = max(best[i - 1, j - 1], best[i - 1, j], best[i, j - 1])
                best[i, j] = scores[pair, i - 1, j - 1] + (before if i + j > 2 else 0.0)
        if best[last_row, last_column] == -np.inf:
            return NO_STRUCTURE, pair
        i, j = last_row, last_column
        while True:
            z[pair, i - 1, j - 1] = 1
            if i + j == 2:
                break
            if best[i - 1, j - 1] >= max(best[i - 1, j], best[i, j - 1]):
                i, j = i - 1, j - 1
            elif best[i - 1, j] >= best[i, j - 1]:
                i -= 1
            else:
                j -= 1
    return OK, 0
