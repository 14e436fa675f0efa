import math

import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import FORBIDDEN, LARGEST_SCORE, NO_STRUCTURE, NOT_A_SCORE, OK, TOO_LARGE
from spigot_allennlp.nn.kernels.sentence import exp, load_sentence

# Kinds of spans; see `maximum_projective_trees`. LEFT_OPEN has just got its arc, BOTH is about to get one either way.
RIGHT, LEFT, LEFT_OPEN, BOTH = range(4)

# The sums range too widely for floats, so each is a value times two to the power of an exponent of its own. The value
# of a finished sum lies between 1 and 2, unless the sum is 0, for which the exponent is ZERO.
ZERO = -(1 << 60)
# Scores below this count as this, so that no exponent overflows; see `check_totals` for why that is low enough.
LOWEST_SCORE = -1e14


@njit(nogil=True, cache=True)
def sum_over_projective_trees(
    scores: np.ndarray, mask: np.ndarray, single_root: bool, log_partition: np.ndarray, marginals: np.ndarray
) -> tuple[int, int]:
    """
    Fills `log_partition` and `marginals`, which comes in as zeros; see
    [`projective_log_partition`](../eisner.md). Returns a status and the sentence it is about. All values are float64,
    or complex128 for complex-step differentiation.

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
        if not _exponentiate(arc, arc_exponent, size):
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

        for i in range(first, last):
            _outside(i, size, arc, arc_exponent, value, exponent, probability, ratio, arc_probability)
        for modifier in range(1, size):
            for head in range(size):
                if head != modifier:
                    marginals[sentence, token[modifier], token[head]] = arc_probability[modifier, head]
    return OK, 0


@njit(nogil=True, cache=True)
def _exponentiate(arc, arc_exponent, size):
    """Whether no score is too large."""
    for modifier in range(size):
        for head in range(size):
            score = arc[modifier, head].real
            if score > LARGEST_SCORE:
                return False
            if score <= FORBIDDEN:
                arc[modifier, head] = 0
                arc_exponent[modifier, head] = ZERO
            else:
                infinitesimal = arc[modifier, head] - score
                score = max(score, LOWEST_SCORE)
                power = math.floor(score / math.log(2))
                arc[modifier, head] = exp(score - power * math.log(2) + infinitesimal)
                arc_exponent[modifier, head] = power
    return True


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
        both[j], both_e[j] = _normal(both[j], both_e[j])
        left_open[j], left_open_e[j] = both[j] * arc[i, j], both_e[j] + arc_exponent[i, j]
        right_open, right_open_e = both[j] * arc[j, i], both_e[j] + arc_exponent[j, i]
        left[j], left_e[j] = _normal(*_sum(left[j], left_e[j], left_open[j], left_open_e[j]))
        right[j], right_e[j] = _normal(*_sum(right[j], right_e[j], right_open, right_open_e))
        if j + 1 < size:
            _push(value, exponent, right_open, right_open_e, RIGHT, j, RIGHT, i, j + 1, size)
            _push(value, exponent, left[j], left_e[j], LEFT_OPEN, j, LEFT, i, j + 1, size)
            _push(value, exponent, right[j], right_e[j], LEFT, j + 1, BOTH, i, j + 1, size)


@njit(nogil=True, cache=True)
def _sum_over_roots(last, arc, arc_exponent, value, exponent, probability, arc_probability):
    """The sum over all trees with one child of ROOT; gives the spans on either side of the child their probability."""
    top = 2 * ZERO
    for k in range(1, last + 1):
        top = max(top, exponent[LEFT, 1, k] + arc_exponent[k, 0] + exponent[RIGHT, k, last])
    total = arc[0, 0] * 0
    for k in range(1, last + 1):
        tree, tree_e = value[LEFT, 1, k] * arc[k, 0] * value[RIGHT, k, last], exponent[LEFT, 1, k] + arc_exponent[k, 0]
        arc_probability[k, 0] = tree * _power_of_two(tree_e + exponent[RIGHT, k, last] - top)
        total += arc_probability[k, 0]
    for k in range(1, last + 1):
        arc_probability[k, 0] = _ratio(arc_probability[k, 0], total)
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
            right_p[j] += _share(
                value, exponent, probability, ratio, right[j], right_e[j], LEFT, j + 1, BOTH, i, j + 1, size
            )
            left_p[j] += _share(
                value, exponent, probability, ratio, left[j], left_e[j], LEFT_OPEN, j, LEFT, i, j + 1, size
            )
        ratio[RIGHT, j] = _ratio(right_p[j], right[j])
        ratio[LEFT, j] = _ratio(left_p[j], left[j])
        right_open, right_open_e = both[j] * arc[j, i], both_e[j] + arc_exponent[j, i]
        left_open_p[j] += ratio[LEFT, j] * left_open[j] * _power_of_two(left_open_e[j] - left_e[j])
        arc_probability[i, j] = left_open_p[j]
        arc_probability[j, i] = _share(
            value, exponent, probability, ratio, right_open, right_open_e, RIGHT, j, RIGHT, i, j, size
        )
        ratio[BOTH, j] = _ratio(arc_probability[j, i] + arc_probability[i, j], both[j])
    _share(value, exponent, probability, ratio, right[i], right_e[i], LEFT, i + 1, BOTH, i, i + 1, size)


# The inner loops of both passes. Rows of their own, inlined, and unsigned indices (which need no wrapping) let them be
# vectorised.
@njit(inline="always")
def _push(value, exponent, half, half_e, kind, row, whole_kind, i, start, stop):
    """Adds to each whole span from i on the product of its left half and its right half, of a kind, from a row."""
    rest, rest_e = value[kind, row], exponent[kind, row]
    whole, whole_e = value[whole_kind, i], exponent[whole_kind, i]
    for t in range(np.uint64(start), np.uint64(stop)):
        whole[t], whole_e[t] = _sum(whole[t], whole_e[t], half * rest[t], half_e + rest_e[t])


@njit(inline="always")
def _share(value, exponent, probability, ratio, half, half_e, kind, row, whole_kind, i, start, stop):
    """`_push` in reverse: adds its share in the probability of the whole to each right half; returns the left one's."""
    rest, rest_e, rest_p = value[kind, row], exponent[kind, row], probability[kind, row]
    whole_ratio, whole_e = ratio[whole_kind], exponent[whole_kind, i]
    total = half * 0
    for t in range(np.uint64(start), np.uint64(stop)):
        share = whole_ratio[t] * half * rest[t] * _power_of_two(half_e + rest_e[t] - whole_e[t])
        rest_p[t] += share
        total += share
    return total


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _sum(value, exponent, other, other_exponent):
    top = max(exponent, other_exponent)
    return value * _power_of_two(exponent - top) + other * _power_of_two(other_exponent - top), top


@njit(nogil=True, cache=True)
def _normal(value, exponent):
    if value == 0:
        return value, ZERO
    power = (np.float64(value.real).view(np.int64) >> 52) - 1023
    return value * _power_of_two(-power), exponent + power


@njit(nogil=True, cache=True)
def _power_of_two(exponent):
    """
    `2.0 ** exponent` by way of its binary representation; 0 for exponents below -1022, and no more than `2.0 ** 1023`:
    a larger one comes only of a sum that is 0, by which the power is multiplied.
    """
    return np.int64(max(min(exponent, 1023) + 1023, 0) << 52).view(np.float64)


@njit(nogil=True, cache=True)
def _ratio(probability, value):
    return probability / value if value != 0 else probability * 0
