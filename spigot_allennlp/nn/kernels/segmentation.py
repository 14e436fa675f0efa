import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, OK


@njit(nogil=True, cache=True)
def maximum_segmentations(scores: np.ndarray, sizes: np.ndarray, z: np.ndarray) -> tuple[int, int]:
    """
    Writes the segments of the best segmentation of every sentence into `z`, which comes in as zeros. Scores and `z` are
    `(batch, length, max_width)`, `[b, first, width - 1]`; a sentence has the first of its positions, as many as `sizes`
    says, and other segments are worth -inf. Returns a status and the sentence it is about.
    """
    _, length, max_width = scores.shape
    best = np.empty(length + 1)
    last_width = np.empty(length + 1, np.int64)
    for sentence, size in enumerate(sizes):
        best[0] = 0.0
        for end in range(1, size + 1):
            best[end] = -np.inf
            for width in range(1, min(end, max_width) + 1):
                total = best[end - width] + scores[sentence, end - width, width - 1]
                if total > best[end]:
                    best[end] = total
                    last_width[end] = width
        if best[size] == -np.inf:
            return NO_STRUCTURE, sentence
        end = size
        while end > 0:
            width = last_width[end]
            end -= width
            z[sentence, end, width - 1] = 1
    return OK, 0
