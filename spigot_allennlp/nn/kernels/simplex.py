import numpy as np
from numba import njit


# "reassoc" lets the sums be vectorised.
@njit(nogil=True, cache=True, fastmath={"reassoc"})
def project_rows_onto_simplex(
    point: np.ndarray, mask: np.ndarray, capped: bool, projection: np.ndarray, tight: np.ndarray
) -> None:
    """
    Projects every row of `point`, `(rows, size)`, onto the simplex or, if `capped`, the capped simplex, over the cells
    that `mask` allows; see [`project_onto_simplex`](../simplex.md). Fills `projection`, and in `tight`, `(rows,)`,
    whether the entries of a row had to be brought to the sum 1.

    The threshold is found by the method of [Michelot, 1986](https://doi.org/10.1007/BF00938486): who lies below the
    threshold that all others need is out, until there is nobody. That takes no sorting and few rounds.
    """
    num_rows, size = point.shape
    value = np.empty(size, np.float64)
    for row in range(num_rows):
        largest = -np.inf
        positive = 0.0
        for i in range(size):
            value[i] = point[row, i] if mask[row, i] else -np.inf
            largest = max(largest, value[i])
            positive += max(value[i], 0.0)
        tight[row] = largest > -np.inf and not (capped and positive <= 1)
        threshold = 0.0
        if tight[row]:
            # Entries more than 1 below the largest are out from the start. What remains is small, whatever its scale.
            for i in range(size):
                value[i] -= largest
            threshold = -1.0
            count, before = size + 1, size + 2
            while count < before:
                before, count = count, 0
                total = 0.0
                for i in range(size):
                    remains = value[i] > threshold
                    count += remains
                    total += value[i] if remains else 0.0
                threshold = (total - 1) / max(count, 1)
        for i in range(size):
            projection[row, i] = 0 if value[i] < threshold else value[i] - threshold


@njit(nogil=True, cache=True)
def sum_multiplier(values: np.ndarray, is_free: bool) -> float:
    """
    The `t` with `sum max(values - t, 0) = 1`, or 0 if it is not free to be negative and would be. That sum is convex
    and falling in `t`, so that Newton's method rises to the solution, which it hits once it has the right support.
    """
    t = values.max() - 1.0 if is_free else max(values.max() - 1.0, 0.0)
    while True:
        excess = -1.0
        count = 0
        for value in values:
            if value > t:
                excess += value - t
                count += 1
        if excess <= 0.0 or t + excess / count <= t:
            return t
        t += excess / count
