import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def draw(state: np.ndarray) -> float:
    """
    The next uniform number in [0, 1) by SplitMix64 ([Steele, Lea & Flood, 2014](https://doi.org/10.1145/2714064.2660195),
    figure 16). `state`, `(1,)` uint64, begins as the seed.
    """
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    bits = state[0]
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return (bits >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def draw_option(cumulative: np.ndarray, state: np.ndarray) -> int:
    """
    An index with the probability that its weight has, given the cumulative sums of all weights, of which the last is
    positive. A weight of 0 is never drawn.
    """
    total = cumulative[-1]
    option = np.searchsorted(cumulative, draw(state) * total, side="right")
    # The product may have been rounded up to the total.
    return option if option < len(cumulative) else np.searchsorted(cumulative, total)


@njit(nogil=True, cache=True)
def draw_from_logits(logits: np.ndarray, cumulative: np.ndarray, state: np.ndarray) -> int:
    """An index with probability `~ exp(logits)`, or -1 if all are -inf. `cumulative` is room for as many numbers."""
    top = logits.max()
    if top == -np.inf:
        return -1
    total = 0.0
    for option in range(len(logits)):
        total += np.exp(logits[option] - top)
        cumulative[option] = total
    return draw_option(cumulative, state)
