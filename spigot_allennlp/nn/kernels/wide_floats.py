import math

import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import FORBIDDEN, LARGEST_SCORE
from spigot_allennlp.nn.kernels.sentence import exp

# The sums range too widely for floats, so each is a value times two to the power of an exponent of its own. The value
# of a finished sum lies between 1 and 2, unless the sum is 0, for which the exponent is ZERO.
ZERO = -(1 << 60)
# Scores below this count as this, so that no exponent overflows; see `check_totals` for why that is low enough.
LOWEST_SCORE = -1e14


@njit(nogil=True, cache=True)
def exponentiate(score: np.ndarray, exponent: np.ndarray, size: int) -> bool:
    """
    Replaces each of `size * size` scores by a value and writes the exponent that belongs to it. Returns whether no
    score is too large.
    """
    for row in range(size):
        for column in range(size):
            real = score[row, column].real
            if real > LARGEST_SCORE:
                return False
            if real <= FORBIDDEN:
                score[row, column] = 0
                exponent[row, column] = ZERO
            else:
                infinitesimal = score[row, column] - real
                real = max(real, LOWEST_SCORE)
                power = math.floor(real / math.log(2))
                score[row, column] = exp(real - power * math.log(2) + infinitesimal)
                exponent[row, column] = power
    return True


# The inner loops of both passes. Rows of their own, inlined, and unsigned indices (which need no wrapping) let them be
# vectorised.
@njit(inline="always")
def push(value, exponent, half, half_e, kind, row, whole_kind, i, start, stop):
    """Adds to each whole span from i on the product of its left half and its right half, of a kind, from a row."""
    rest, rest_e = value[kind, row], exponent[kind, row]
    whole, whole_e = value[whole_kind, i], exponent[whole_kind, i]
    for t in range(np.uint64(start), np.uint64(stop)):
        whole[t], whole_e[t] = add(whole[t], whole_e[t], half * rest[t], half_e + rest_e[t])


@njit(inline="always")
def pull(value, exponent, probability, ratio, half, half_e, kind, row, whole_kind, i, start, stop):
    """`push` in reverse: adds its share in the probability of the whole to each right half; returns the left one's."""
    rest, rest_e, rest_p = value[kind, row], exponent[kind, row], probability[kind, row]
    whole_ratio, whole_e = ratio[whole_kind], exponent[whole_kind, i]
    total = half * 0
    for t in range(np.uint64(start), np.uint64(stop)):
        share = whole_ratio[t] * half * rest[t] * power_of_two(half_e + rest_e[t] - whole_e[t])
        rest_p[t] += share
        total += share
    return total


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def add(value, exponent, other, other_exponent):
    top = max(exponent, other_exponent)
    return value * power_of_two(exponent - top) + other * power_of_two(other_exponent - top), top


@njit(nogil=True, cache=True)
def normal(value, exponent):
    if value == 0:
        return value, ZERO
    power = (np.float64(value.real).view(np.int64) >> 52) - 1023
    return value * power_of_two(-power), exponent + power


@njit(nogil=True, cache=True)
def power_of_two(exponent):
    """
    `2.0 ** exponent` by way of its binary representation; 0 for exponents below -1022, and no more than `2.0 ** 1023`:
    a larger one comes only of a sum that is 0, by which the power is multiplied.
    """
    return np.int64(max(min(exponent, 1023) + 1023, 0) << 52).view(np.float64)


@njit(nogil=True, cache=True)
def divide(probability, value):
    return probability / value if value != 0 else probability * 0
