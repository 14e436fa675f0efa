import math

import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import LARGEST_SCORE, NO_STRUCTURE, NOT_A_SCORE, OK, TOO_LARGE
from spigot_allennlp.nn.kernels.sentence import load_sentence
from spigot_allennlp.nn.kernels.wide_floats import ZERO, add, divide, exponentiate, normal, power_of_two, pull, push

# Kinds of spans; see `maximum_projective_trees`. LEFT_OPEN has just got its arc, BOTH is about to get one either way.
RIGHT, LEFT, LEFT_OPEN, BOTH = range(4)


@njit(nogil=True, cache=True)
def sum_over_projective_trees(
    scores: np.ndarray, mask: np.ndarray, single_root: bool, log_partition: np.ndarray, marginals: np.ndarray
) -> tuple[int, int]:
    """
    Fills `log_partition` and `marginals`, which comes in as zeros, or empty if nobody wants them. Returns a status and
    the sentence it is about. All values are float64, or complex128 for complex-step differentiation.

    The inside pass is that of [`maximum_projective_trees`](./eisner.md), with sums and products in place of maxima and
    sums. The outside pass takes the same steps in reverse and gives each half of a span its share in the probability of
    the whole.
    """
    batch_size, length = mask.shape
    token = np.empty(length, np.int64)
    arc = np.empty((length, length), scores.dtype)
    arc_exponent = np.empty((length, length), np.int64)
    # Indexed by kind, first and last position of the span.
    value = np.empty((4, length, length), scores.dtype)
    exponent = np.empty((4, length, length), np.int64)
    probability = np.empty((3, length, length), scores.dtype)
    arc_probability = np.empty((length, length), scores.dtype)
    # The probabilities of the spans from one position on, divided by their values.
    ratio = np.empty((4, length), scores.dtype)

    for sentence in range(batch_size):
        size = load_sentence(scores[sentence], mask[sentence], token, arc)
        if size < 0:
            return NOT_A_SCORE, sentence
        if size == 1:
            continue
        last = size - 1
        first = 1 if single_root else 0
        if not exponentiate(arc, arc_exponent, size):
            return TOO_LARGE, sentence
        for i in range(last, first - 1, -1):
            _inside(i, size, arc, arc_exponent, value, exponent)

        probability[:, :size, :size] = 0
        if single_root:
            total, total_exponent = _sum_over_roots(
                last, arc, arc_exponent, value, exponent, probability, arc_probability
            )
        else:
            total, total_exponent = value[RIGHT, 0, last], exponent[RIGHT, 0, last]
            probability[RIGHT, 0, last] = 1
        if total == 0:
            return NO_STRUCTURE, sentence
        log_partition[sentence] = np.log(total) + total_exponent * math.log(2)
        if log_partition[sentence].real < -LARGEST_SCORE * size:
            return TOO_LARGE, sentence
        if len(marginals) == 0:
            continue

        for i in range(first, last):
            _outside(i, size, arc, arc_exponent, value, exponent, probability, ratio, arc_probability)
        for modifier in range(1, size):
            for head in range(size):
                if head != modifier:
                    marginals[sentence, token[modifier], token[head]] = arc_probability[modifier, head]
    return OK, 0


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _inside(i, size, arc, arc_exponent, value, exponent):
    """The sums over all spans that begin at i, when those over later ones are known."""
    right, right_e = value[RIGHT, i], exponent[RIGHT, i]
    left, left_e = value[LEFT, i], exponent[LEFT, i]
    left_open, left_open_e = value[LEFT_OPEN, i], exponent[LEFT_OPEN, i]
    both, both_e = value[BOTH, i], exponent[BOTH, i]
    right[i] = left[i] = 1
    right_e[i] = left_e[i] = 0
    for j in range(i + 1, size):
        both[j], both_e[j] = value[LEFT, i + 1, j], exponent[LEFT, i + 1, j]
        right[j], right_e[j] = 0, ZERO
        left[j], left_e[j] = 0, ZERO
    for j in range(i + 1, size):
        both[j], both_e[j] = normal(both[j], both_e[j])
        left_open[j], left_open_e[j] = both[j] * arc[i, j], both_e[j] + arc_exponent[i, j]
        right_open, right_open_e = both[j] * arc[j, i], both_e[j] + arc_exponent[j, i]
        left[j], left_e[j] = normal(*add(left[j], left_e[j], left_open[j], left_open_e[j]))
        right[j], right_e[j] = normal(*add(right[j], right_e[j], right_open, right_open_e))
        if j + 1 < size:
            push(value, exponent, right_open, right_open_e, RIGHT, j, RIGHT, i, j + 1, size)
            push(value, exponent, left[j], left_e[j], LEFT_OPEN, j, LEFT, i, j + 1, size)
            push(value, exponent, right[j], right_e[j], LEFT, j + 1, BOTH, i, j + 1, size)


@njit(nogil=True, cache=True)
def _sum_over_roots(last, arc, arc_exponent, value, exponent, probability, arc_probability):
    """The sum over all trees with one child of ROOT; gives the spans on either side of the child their probability."""
    top = 2 * ZERO
    for k in range(1, last + 1):
        top = max(top, exponent[LEFT, 1, k] + arc_exponent[k, 0] + exponent[RIGHT, k, last])
    total = arc[0, 0] * 0
    for k in range(1, last + 1):
        tree, tree_e = value[LEFT, 1, k] * arc[k, 0] * value[RIGHT, k, last], exponent[LEFT, 1, k] + arc_exponent[k, 0]
        arc_probability[k, 0] = tree * power_of_two(tree_e + exponent[RIGHT, k, last] - top)
        total += arc_probability[k, 0]
    for k in range(1, last + 1):
        arc_probability[k, 0] = divide(arc_probability[k, 0], total)
        probability[LEFT, 1, k] = arc_probability[k, 0]
        probability[RIGHT, k, last] = arc_probability[k, 0]
    return total, top


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _outside(i, size, arc, arc_exponent, value, exponent, probability, ratio, arc_probability):
    """The probabilities of the arcs between i and later positions, when those of all spans around them are known."""
    right, right_e = value[RIGHT, i], exponent[RIGHT, i]
    left, left_e = value[LEFT, i], exponent[LEFT, i]
    left_open, left_open_e = value[LEFT_OPEN, i], exponent[LEFT_OPEN, i]
    both, both_e = value[BOTH, i], exponent[BOTH, i]
    right_p, left_p, left_open_p = probability[RIGHT, i], probability[LEFT, i], probability[LEFT_OPEN, i]
    for j in range(size - 1, i, -1):
        if j + 1 < size:
            right_p[j] += pull(
                value, exponent, probability, ratio, right[j], right_e[j], LEFT, j + 1, BOTH, i, j + 1, size
            )
            left_p[j] += pull(
                value, exponent, probability, ratio, left[j], left_e[j], LEFT_OPEN, j, LEFT, i, j + 1, size
            )
        ratio[RIGHT, j] = divide(right_p[j], right[j])
        ratio[LEFT, j] = divide(left_p[j], left[j])
        right_open, right_open_e = both[j] * arc[j, i], both_e[j] + arc_exponent[j, i]
        left_open_p[j] += ratio[LEFT, j] * left_open[j] * power_of_two(left_open_e[j] - left_e[j])
        arc_probability[i, j] = left_open_p[j]
        arc_probability[j, i] = pull(
            value, exponent, probability, ratio, right_open, right_open_e, RIGHT, j, RIGHT, i, j, size
        )
        ratio[BOTH, j] = divide(arc_probability[j, i] + arc_probability[i, j], both[j])
    pull(value, exponent, probability, ratio, right[i], right_e[i], LEFT, i + 1, BOTH, i, i + 1, size)
