import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels.cut_dual import Cuts, Rows

# What is left of an arc's capacity counts if it is more than this.
ROUNDING = 1e-13


@njit(nogil=True, cache=True)
def separate(rows: Rows, cuts: Cuts, count: int, tolerance: float) -> int:
    """
    Adds sets of tokens with too many arcs inside to the first `count` cuts, and returns how many there are then. If
    none is added there is none that is exceeded by more than `tolerance`; if there is no room, returns -1.

    As each token has one head in all, a set S has too many arcs inside just if less than 1 comes in from without: if
    less than 1 can flow from ROOT to its tokens, an arc's weight being its capacity. Tokens that receive 1 join ROOT as
    sources, in turn those that have most from sources at once. For most of them a glance is enough; others take a
    maximum flow, by the shortest augmenting paths of [Edmonds & Karp, 1972](https://doi.org/10.1145/321694.321699).
    """
    size = len(rows.count)
    known = count
    neighbours = np.empty((size, size), np.int64)
    degree = np.zeros(size, np.int64)
    for modifier in range(1, size):
        for i in range(rows.count[modifier]):
            head = rows.support[modifier, i]
            neighbours[modifier, degree[modifier]] = head
            degree[modifier] += 1
            if head > 0 and rows.x[head, modifier] == 0.0:
                neighbours[head, degree[head]] = modifier
                degree[head] += 1
    residual = np.zeros((size, size))
    via = np.empty(size, np.int64)
    reached = np.empty(size, np.bool_)
    is_source = np.zeros(size, np.bool_)
    is_source[0] = True
    from_sources = rows.x[:, 0].copy()
    for _ in range(1, size):
        target = 0
        for token in range(1, size):
            if not is_source[token] and (target == 0 or from_sources[token] > from_sources[target]):
                target = token
        enough = 1.0 - tolerance
        flow = from_sources[target]
        if flow < enough:
            # What comes from sources over one token in between.
            for i in range(rows.count[target]):
                head = rows.support[target, i]
                if not is_source[head]:
                    flow += min(from_sources[head], rows.x[target, head])
        if flow < enough:
            flow = _flow_to(target, rows, is_source, from_sources, enough, neighbours, degree, residual, via)
        if flow < enough:
            if known + 2 > len(cuts.size):
                return -1
            for token in range(size):
                reached[token] = via[token] >= 0
            known = _add(reached, cuts, known)
            _reach_from_sources(rows, is_source, neighbours, degree, residual, reached, via)
            for token in range(size):
                reached[token] = not reached[token]
            known = _add(reached, cuts, known)
        is_source[target] = True
        for token in range(1, size):
            from_sources[token] += rows.x[token, target]
    return known


@njit(nogil=True, cache=True)
def _flow_to(
    target: int,
    rows: Rows,
    is_source: np.ndarray,
    from_sources: np.ndarray,
    enough: float,
    neighbours: np.ndarray,
    degree: np.ndarray,
    residual: np.ndarray,
    via: np.ndarray,
) -> float:
    """
    The flow from sources to the target, or as much of it as is `enough`. It leaves what remains of the capacities in
    `residual`, `[modifier, head]`, and in `via` the way to the target of the tokens that can still reach it, -1 for
    others.
    """
    for token in range(1, len(via)):
        if not is_source[token]:
            for i in range(degree[token]):
                residual[token, neighbours[token, i]] = rows.x[token, neighbours[token, i]]
    # What sources send directly, and paths need not look for.
    flow = from_sources[target]
    for i in range(rows.count[target]):
        if is_source[rows.support[target, i]]:
            residual[target, rows.support[target, i]] = 0.0
    queue = np.empty(len(via), np.int64)
    while flow < enough:
        via[:] = -1
        via[target] = target
        queue[0] = target
        head, tail = 0, 1
        source, last = -1, -1
        while head < tail and source < 0:
            token = queue[head]
            head += 1
            for i in range(degree[token]):
                other = neighbours[token, i]
                if residual[token, other] > ROUNDING:
                    if is_source[other]:
                        source, last = other, token
                        break
                    if via[other] < 0:
                        via[other] = token
                        queue[tail] = other
                        tail += 1
        if source < 0:
            break
        amount = residual[last, source]
        token = last
        while token != target:
            amount = min(amount, residual[via[token], token])
            token = via[token]
        flow += amount
        residual[last, source] -= amount
        token = last
        while token != target:
            residual[via[token], token] -= amount
            residual[token, via[token]] += amount
            token = via[token]
    return flow


@njit(nogil=True, cache=True)
def _reach_from_sources(
    rows: Rows,
    is_source: np.ndarray,
    neighbours: np.ndarray,
    degree: np.ndarray,
    residual: np.ndarray,
    reached: np.ndarray,
    queue: np.ndarray,
) -> None:
    """Marks the tokens that sources can still send something to, and the sources."""
    reached[:] = is_source
    tail = 0
    for token in range(1, len(reached)):
        if not is_source[token]:
            for i in range(rows.count[token]):
                head = rows.support[token, i]
                if is_source[head] and residual[token, head] > ROUNDING:
                    reached[token] = True
                    queue[tail] = token
                    tail += 1
                    break
    head = 0
    while head < tail:
        token = queue[head]
        head += 1
        for i in range(degree[token]):
            other = neighbours[token, i]
            if not reached[other] and residual[other, token] > ROUNDING:
                reached[other] = True
                queue[tail] = other
                tail += 1


@njit(nogil=True, cache=True)
def _add(members: np.ndarray, cuts: Cuts, count: int) -> int:
    """Makes the members one more cut, unless it is known. Returns how many there are then."""
    size = 0
    cuts.member[count] = 0.0
    for token in range(1, len(members)):
        if members[token]:
            cuts.member[count, token] = 1.0
            cuts.token[count, size] = token
            size += 1
    for k in range(count):
        if cuts.size[k] == size and (cuts.member[k] == cuts.member[count]).all():
            return count
    cuts.size[count] = size
    cuts.exact[count] = False
    cuts.multiplier[count] = 0.0
    return count + 1
