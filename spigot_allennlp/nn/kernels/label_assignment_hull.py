import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels.simplex import sum_multiplier

# The bound is on the squared distance to the projection.
BOUND_TOLERANCE = 1e-12
MOST_ROUNDS = 300


@njit(nogil=True, cache=True)
def project_onto_label_assignments(
    points: np.ndarray, possible: np.ndarray, deterministic: np.ndarray, projections: np.ndarray
) -> np.ndarray:
    """
    For predicates with `points` of shape `(predicates, arguments, labels)`, over the arguments that are `possible`,
    `(predicates, arguments)` bool, writes into `projections`

        argmin_z ||z - point||^2  s.t.  z >= 0,  sum_label z <= 1 per argument,
                                        sum_argument z <= 1 per deterministic label,

    which is the convex hull of all label assignments, the constraints being those of a bipartite matching. Returns
    which predicates are done, bool.

    The solution is `max(point - a - l, 0)` with a multiplier `a >= 0` per argument, `l >= 0` per deterministic label.
    In turns, these and those are set to their best values given the others (Dykstra's alternating projections, [Boyle &
    Dykstra, 1986](https://doi.org/10.1007/978-1-4613-9940-7_3)). That takes few rounds where many weights are between
    0 and 1, but many near a vertex, where the active-set method is good.

    With `g` the excess over 1 of the arguments' sums and `a*` the best multipliers, `||z - z*||^2 <= 2 g . (a* - a)`,
    and no `a*` is above the largest of its argument's weights: this bound decides when a predicate is done.
    """
    done = np.zeros(len(points), np.bool_)
    once = np.flatnonzero(deterministic)
    for p in range(len(points)):
        arguments = np.flatnonzero(possible[p])
        point = points[p][arguments]
        by_argument = np.zeros(len(arguments))
        by_label = np.zeros(point.shape[1])
        for _ in range(MOST_ROUNDS):
            for row in range(len(arguments)):
                by_argument[row] = sum_multiplier(point[row] - by_label, False)
            for column in once:
                by_label[column] = sum_multiplier(point[:, column] - by_argument, False)
            bound = 0.0
            for row in range(len(arguments)):
                excess = np.maximum(point[row] - by_label - by_argument[row], 0.0).sum() - 1.0
                if excess > 0.0 or by_argument[row] > 0.0:
                    bound += 2.0 * abs(excess) * max(point[row].max(), 0.0)
            if bound <= BOUND_TOLERANCE:
                done[p] = True
                for row in range(len(arguments)):
                    projections[p, arguments[row]] = np.maximum(point[row] - by_label - by_argument[row], 0.0)
                break
    return done
