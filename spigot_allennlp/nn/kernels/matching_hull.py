import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels.simplex import sum_multiplier

# Of sums that are to be 1; more where scores are so large that they are not exact to this.
TOLERANCE = 1e-11
MOST_ROUNDS, MOST_STEPS, MOST_EXCHANGES = 10, 200, 10
# Makes a singular system regular. Where the dual has no curvature, the step is long, and the line search cuts it short.
RIDGE = 1e-9


@njit(nogil=True, cache=True)
def project_onto_matchings(
    points: np.ndarray, sizes: np.ndarray, complete: bool, projections: np.ndarray
) -> np.ndarray:
    """
    For points of shape `(batch, rows, columns)`, of which each has the first rows and columns, as many as `sizes`,
    `(batch, 2)`, says, writes into `projections`, which comes in as zeros,

        argmin_z ||z - point||^2  s.t.  z >= 0,  sum_column z <= 1 per row,  sum_row z <= 1 per column,

    and if `complete` with equality for rows, unless there are more of them than of columns, and the other way round.
    Returns which of them are done, bool; the others have not come near enough.

    The solution is `max(point - r - c, 0)` with a multiplier `r` per row and `c` per column, not negative where the sum
    may be less than 1. They minimise the dual `sum max(point - r - c, 0)^2 / 2 + sum r + sum c`, which is convex and
    made of quadratic pieces. After some rounds in which rows and columns take turns, Newton's method finds the piece,
    and with it the solution itself.
    """
    done = np.zeros(len(points), np.bool_)
    for p in range(len(points)):
        rows, columns = sizes[p]
        if rows == 0:
            done[p] = True
            continue
        point = points[p, :rows, :columns].copy()
        is_free = np.zeros(rows + columns, np.bool_)
        if complete:
            is_free[:rows] = rows <= columns
            is_free[rows:] = columns <= rows
        largest = 0.0
        for value in point.flat:
            if value > -np.inf:
                largest = max(largest, abs(value))
        tolerance = max(TOLERANCE, 1e-14 * largest)
        multiplier = np.zeros(rows + columns)
        for _ in range(MOST_ROUNDS):
            for i in range(rows):
                multiplier[i] = sum_multiplier(point[i] - multiplier[rows:], is_free[i])
            for j in range(columns):
                multiplier[rows + j] = sum_multiplier(point[:, j] - multiplier[:rows], is_free[rows + j])
        done[p] = _minimise_dual(point, is_free, multiplier, tolerance)
        for i in range(rows):
            for j in range(columns):
                projections[p, i, j] = max(point[i, j] - multiplier[i] - multiplier[rows + j], 0.0)
    return done


@njit(nogil=True, cache=True)
def _minimise_dual(point, is_free, multiplier, tolerance):
    """Newton's method, with the multipliers' bounds in every quadratic model. Returns whether it has arrived."""
    rows, columns = point.shape
    size = rows + columns
    gradient = np.empty(size)
    for _ in range(MOST_STEPS):
        hessian = np.zeros((size, size))
        gradient[:] = 1.0
        for i in range(rows):
            for j in range(columns):
                weight = point[i, j] - multiplier[i] - multiplier[rows + j]
                if weight > 0.0:
                    gradient[i] -= weight
                    gradient[rows + j] -= weight
                    hessian[i, i] += 1.0
                    hessian[rows + j, rows + j] += 1.0
                    hessian[i, rows + j] = 1.0
                    hessian[rows + j, i] = 1.0
        moves = is_free | (multiplier > 0.0) | (gradient < 0.0)
        if np.abs(gradient * moves).max() <= tolerance:
            return True
        for k in range(size):
            hessian[k, k] += RIDGE
        direction = _model_minimum(hessian, gradient, is_free, moves, multiplier) - multiplier
        step = _step_size(point, is_free, multiplier, direction)
        for k in range(size):
            multiplier[k] += step * direction[k]
            if not is_free[k]:
                multiplier[k] = max(multiplier[k], 0.0)
    return False


@njit(nogil=True, cache=True)
def _model_minimum(hessian, gradient, is_free, moves, multiplier):
    """
    Where the quadratic model of the dual is least among multipliers within their bounds. Those that would be negative
    stay at 0, and those there that would rise are let go, a few times: what comes out need not be the minimum itself.
    """
    target = multiplier
    for _ in range(MOST_EXCHANGES):
        while True:
            system = hessian.copy()
            # Those that stay at 0 are the part of the step that is known.
            right = hessian @ multiplier - gradient
            for k in range(len(moves)):
                if not moves[k]:
                    system[k, :] = 0.0
                    system[:, k] = 0.0
                    system[k, k] = 1.0
                    right[k] = 0.0
            target = np.linalg.solve(system, right)
            leaves = moves & ~is_free & (target < 0.0)
            if not leaves.any():
                break
            moves = moves & ~leaves
        slopes = gradient + hessian @ (target - multiplier)
        returns = ~moves & (slopes < -1e-12)
        if not returns.any():
            break
        moves = moves | returns
    return np.maximum(target, np.where(is_free, -np.inf, 0.0))


@njit(nogil=True, cache=True)
def _step_size(point, is_free, multiplier, direction):
    """Where the dual stops falling in this direction, or nearly so, and no multiplier becomes negative."""
    most = np.inf
    for k in range(len(direction)):
        if direction[k] < 0.0 and not is_free[k]:
            most = min(most, -multiplier[k] / direction[k])
    start = _slope(point, multiplier, direction, 0.0)
    low, low_slope, high, high_slope = 0.0, start, np.inf, np.inf
    step = min(1.0, most)
    for _ in range(100):
        slope = _slope(point, multiplier, direction, step)
        if abs(slope) <= 0.1 * abs(start) or (slope < 0.0 and step == most):
            return step
        if slope < 0.0:
            low, low_slope = step, slope
        else:
            high, high_slope = step, slope
        if high == np.inf:
            step = min(4.0 * step, most)
        else:
            share = low_slope / (low_slope - high_slope)
            step = low + min(max(share, 0.1), 0.9) * (high - low)
    return step


@njit(nogil=True, cache=True)
def _slope(point, multiplier, direction, step):
    rows, columns = point.shape
    slope = direction.sum()
    for i in range(rows):
        for j in range(columns):
            change = direction[i] + direction[rows + j]
            weight = point[i, j] - multiplier[i] - multiplier[rows + j] - step * change
            if weight > 0.0:
                slope -= weight * change
    return slope
