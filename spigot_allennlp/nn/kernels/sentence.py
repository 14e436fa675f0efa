import math

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def load_sentence(scores: np.ndarray, mask: np.ndarray, token: np.ndarray, arc: np.ndarray) -> int:
    """
    Copies one sentence's arc scores, `[modifier, head]`, into `arc`, with padding left out: position `p` there is
    position `token[p]` of the sentence. Arcs that no tree has get -inf. Returns the number of positions, ROOT
    included, or -1 where a score is NaN or +inf.
    """
    token[0] = 0
    size = 1
    for position in range(1, len(mask)):
        if mask[position]:
            token[size] = position
            size += 1
    for head in range(size):
        arc[0, head] = -np.inf
    are_scores = True
    for modifier in range(1, size):
        row, loaded = scores[token[modifier]], arc[modifier]
        for head in range(np.uint64(size)):
            loaded[head] = row[token[head]]
        loaded[modifier] = -np.inf
        for head in range(np.uint64(size)):
            are_scores &= loaded[head].real < np.inf
    if not are_scores:
        return -1
    return size


@njit(nogil=True, cache=True)
def exp(score: float | complex) -> float | complex:
    """The exponential of a number whose imaginary part, if any, is infinitesimal."""
    return math.exp(score.real) * (1 + (score - score.real))


@njit(nogil=True, cache=True)
def write_ranked(
    found: np.ndarray, arc: np.ndarray, size: int, token: np.ndarray, heads: np.ndarray, totals: np.ndarray
) -> None:
    """
    Writes trees over the tokens that [`load_sentence`](#load_sentence) has loaded, their heads `(trees, size)`, into
    `heads`, `(trees or more, length)`, as positions of the sentence, and their scores into `totals`, in falling order.
    """
    total = np.zeros(len(found))
    for rank in range(len(found)):
        for modifier in range(1, size):
            total[rank] += arc[modifier, found[rank, modifier]]
    order = np.argsort(-total, kind="mergesort")
    for rank in range(len(found)):
        totals[rank] = total[order[rank]]
        for modifier in range(1, size):
            heads[rank, token[modifier]] = token[found[order[rank], modifier]]
