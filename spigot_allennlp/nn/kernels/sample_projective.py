import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE, OK, TOO_LARGE
from spigot_allennlp.nn.kernels.inside_outside import BOTH, LEFT, LEFT_OPEN, RIGHT, _inside
from spigot_allennlp.nn.kernels.random import draw_option
from spigot_allennlp.nn.kernels.sentence import load_sentence
from spigot_allennlp.nn.kernels.wide_floats import ZERO, exponentiate, power_of_two

# The whole tree, where its one token under ROOT is to be drawn.
TOP = 4


@njit(nogil=True, cache=True)
def sample_projective_trees(
    scores: np.ndarray, mask: np.ndarray, single_root: bool, seeds: np.ndarray, heads: np.ndarray
) -> tuple[int, int]:
    """
    Fills `heads`, `(num_samples, batch, length)` and -1 where there is none, with projective trees that are as likely
    as `exp` of their score. `seeds` are `(num_samples, batch)`. Returns a status and the sentence it is about.

    The sums over all spans are those of [`sum_over_projective_trees`](./inside_outside.md); then, from the top down, a
    span is split where one of its halves' products is drawn, in proportion.
    """
    num_samples, batch_size, length = heads.shape
    token = np.empty(length, np.int64)
    arc = np.empty((length, length), np.float64)
    arc_exponent = np.empty((length, length), np.int64)
    value = np.empty((4, length, length), np.float64)
    exponent = np.empty((4, length, length), np.int64)
    agenda = np.empty((2 * length, 3), np.int64)
    cumulative = np.empty(length, np.float64)
    state = np.empty(1, np.uint64)

    for sentence in range(batch_size):
        size = load_sentence(scores[sentence], mask[sentence], token, arc)
        if size < 0:
            return NOT_A_SCORE, sentence
        if size == 1:
            continue
        last = size - 1
        if not exponentiate(arc, arc_exponent, size):
            return TOO_LARGE, sentence
        for i in range(last, 0 if single_root else -1, -1):
            _inside(i, size, arc, arc_exponent, value, exponent)
        for sample in range(num_samples):
            state[0] = np.uint64(seeds[sample, sentence])
            agenda[0] = TOP if single_root else RIGHT, 0, last
            pending = 1
            while pending > 0:
                pending -= 1
                kind, i, j = agenda[pending]
                start, stop = _accumulate(kind, i, j, arc, arc_exponent, value, exponent, cumulative)
                if cumulative[stop - 1] == 0:
                    return NO_STRUCTURE, sentence
                split = start + draw_option(cumulative[start:stop], state)
                # The halves of the span, and the arc between its ends, if it has one.
                if kind == TOP:
                    halves = (LEFT, 1, split), (RIGHT, split, j)
                    heads[sample, sentence, token[split]] = token[0]
                elif kind == RIGHT:
                    halves = (BOTH, i, split), (RIGHT, split, j)
                    heads[sample, sentence, token[split]] = token[i]
                elif kind == LEFT:
                    halves = (LEFT, i, split), (BOTH, split, j)
                    heads[sample, sentence, token[split]] = token[j]
                else:
                    halves = (RIGHT, i, split), (LEFT, split + 1, j)
                for half, first, end in halves:
                    if first < end:
                        agenda[pending] = half, first, end
                        pending += 1
    return OK, 0


@njit(nogil=True, cache=True)
def _accumulate(kind, i, j, arc, arc_exponent, value, exponent, cumulative):
    """
    The cumulative sums of what a span is worth where it is split at each position, divided by a power of two, from the
    first position to the one after the last, which are returned.
    """
    start, stop = i, j
    whole = exponent[kind, i, j] if kind != TOP else 2 * ZERO
    if kind == RIGHT:
        start, stop = i + 1, j + 1
    elif kind == TOP:
        start, stop = 1, j + 1
        for k in range(start, stop):
            whole = max(whole, exponent[LEFT, 1, k] + arc_exponent[k, 0] + exponent[RIGHT, k, j])
    total = 0.0
    for k in range(start, stop):
        if kind == TOP:
            product = value[LEFT, 1, k] * arc[k, 0] * value[RIGHT, k, j]
            power = exponent[LEFT, 1, k] + arc_exponent[k, 0] + exponent[RIGHT, k, j]
        elif kind == RIGHT:
            product = value[BOTH, i, k] * arc[k, i] * value[RIGHT, k, j]
            power = exponent[BOTH, i, k] + arc_exponent[k, i] + exponent[RIGHT, k, j]
        elif kind == LEFT:
            product = value[LEFT, i, k] * value[LEFT_OPEN, k, j]
            power = exponent[LEFT, i, k] + exponent[LEFT_OPEN, k, j]
        else:
            product = value[RIGHT, i, k] * value[LEFT, k + 1, j]
            power = exponent[RIGHT, i, k] + exponent[LEFT, k + 1, j]
        total += product * power_of_two(power - whole)
        cumulative[k] = total
    return start, stop
