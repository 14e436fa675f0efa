import math

import numpy as np
from numba import njit

# Added to a number, this leaves the nearest integer in the lowest bits of the sum.
ROUNDS = 1.5 * 2.0**52
# ln 2, of which the first part times an integer up to 2000 is exact.
LN_2_HIGH = 0.693147180369123816490
LN_2_LOW = 1.90821492927058770002e-10
# The coefficients of the exponential's series, from the last one that matters on: 0.35^14 / 14! < 1e-16.
SERIES = np.array([1 / math.factorial(n) for n in range(13, -1, -1)])


@njit(nogil=True, cache=True, fastmath={"contract"})
def exponentiate_row(row: np.ndarray, size: int, power: np.ndarray) -> None:
    """
    Replaces the first `size` numbers of `row`, float64 and between -700 and 700, by their exponentials, as precisely as
    `math.exp` but for the last bit, and several at a time. `power` is space for as many.

    A number is `k ln 2 + r` with an integer `k`: its exponential is a series in `r` times `2^k`, whose bits are those
    of `k` in the place of an exponent.
    """
    bits = power.view(np.int64)
    for i in range(np.uint64(size)):
        power[i] = row[i] * (1 / math.log(2)) + ROUNDS
    for i in range(np.uint64(size)):
        k = power[i] - ROUNDS
        r = (row[i] - k * LN_2_HIGH) - k * LN_2_LOW
        total = SERIES[0]
        for coefficient in SERIES[1:]:
            total = total * r + coefficient
        row[i] = total
    for i in range(np.uint64(size)):
        bits[i] = (bits[i] + 1023) << 52
    for i in range(np.uint64(size)):
        row[i] *= power[i]
