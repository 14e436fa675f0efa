import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE, OK
from spigot_allennlp.nn.kernels.random import draw_from_logits, draw_option
from spigot_allennlp.nn.kernels.sentence import load_sentence

# A walk that takes more steps than this for each token gives up.
PATIENCE = 50


@njit(nogil=True, cache=True)
def sample_arborescences(
    scores: np.ndarray, mask: np.ndarray, tops: np.ndarray, seeds: np.ndarray, heads: np.ndarray
) -> tuple[int, int]:
    """
    Fills `heads`, `(num_samples, batch, length)` and -1 where there is none, with arborescences that are as likely as
    `exp` of their score. `seeds` are `(num_samples, batch)`, and so are `tops`: the one token that hangs from ROOT, or
    0 where any may. Returns a status and the sentence it is about.

    This is the loop-erased random walk of [Wilson, 1996](https://doi.org/10.1145/237814.237880): from each token in
    turn, walk from modifiers to heads until the tree is met, and forget all cycles. Where a cycle is much likelier than
    what leaves it, that takes forever. But the cycles that are forgotten say nothing of the tree that comes out
    ([Propp & Wilson, 1998](https://doi.org/10.1006/jagm.1997.0917), theorem 4): to forget the whole walk when there are
    too many, and sample in another way, is no less exact. Then one path, from where the walk had got caught, comes from
    [`_draw_path`](#_draw_path), and the walk goes on with what is left.
    """
    num_samples, batch_size, length = heads.shape
    token = np.empty(length, np.int64)
    index = np.empty(length, np.int64)
    arc = np.empty((length, length), np.float64)
    cumulative = np.empty((length, length), np.float64)
    head_of = np.empty(length, np.int64)
    in_tree = np.empty(length, np.bool_)
    is_certain = np.empty(length, np.bool_)
    state = np.empty(1, np.uint64)

    for sentence in range(batch_size):
        size = load_sentence(scores[sentence], mask[sentence], token, arc)
        if size < 0:
            return NOT_A_SCORE, sentence
        if size == 1:
            continue
        index[token[:size]] = np.arange(size)
        if num_samples and tops[0, sentence] > 0:
            arc[:, 0] = -np.inf
        _accumulate(arc, size, cumulative)
        for sample in range(num_samples):
            state[0] = np.uint64(seeds[sample, sentence])
            top = index[tops[sample, sentence]]
            head_of[top] = 0
            is_certain[:size] = False
            is_certain[top] = True
            while True:
                caught = _walk(cumulative, size, is_certain, in_tree, head_of, state)
                if caught < 0:
                    break
                if not _draw_path(arc, size, caught, is_certain, head_of, state):
                    return NO_STRUCTURE, sentence
            for modifier in range(1, size):
                heads[sample, sentence, token[modifier]] = token[head_of[modifier]]
    return OK, 0


@njit(nogil=True, cache=True)
def _accumulate(arc, size, cumulative):
    for modifier in range(1, size):
        best = arc[modifier, :size].max()
        total = 0.0
        for head in range(size):
            if arc[modifier, head] > -np.inf:
                total += np.exp(arc[modifier, head] - best)
            cumulative[modifier, head] = total


@njit(nogil=True, cache=True)
def _walk(cumulative, size, is_certain, in_tree, head_of, state):
    """Finds the heads of all tokens, given those that are certain, and returns -1; or where it got caught."""
    in_tree[:size] = is_certain[:size]
    patience = PATIENCE * size
    for start in range(1, size):
        current = start
        while not in_tree[current]:
            if patience == 0 or cumulative[current, size - 1] == 0:
                return current
            patience -= 1
            head_of[current] = draw_option(cumulative[current, :size], state)
            current = head_of[current]
        current = start
        while not in_tree[current]:
            in_tree[current] = True
            current = head_of[current]
    return -1


@njit(nogil=True, cache=True)
def _draw_path(arc, size, start, is_certain, head_of, state):
    """
    The loop-erased path from a token to those that are certain, which become more, drawn step by step: the next token
    has the probability of the arc times that of a walk which from there meets the tree before the path ([Lawler,
    1980](https://doi.org/10.1215/S0012-7094-80-04741-9)). False if there is none.
    """
    on_path = np.zeros(size, np.bool_)
    escape = np.empty(size, np.float64)
    logits = np.empty(size, np.float64)
    cumulative = np.empty(size, np.float64)
    current = start
    while not is_certain[current]:
        on_path[current] = True
        _log_escape(arc, size, is_certain, on_path, escape)
        for head in range(size):
            logits[head] = arc[current, head] + escape[head]
        head = draw_from_logits(logits, cumulative, state)
        if head < 0:
            return False
        head_of[current] = head
        current = head
    while start != current:
        is_certain[start] = True
        start = head_of[start]
    return True


@njit(nogil=True, cache=True)
def _log_escape(arc, size, is_certain, on_path, escape):
    """
    The logarithm of the probability that a walk from a token meets those that are certain before those on the path, by
    the elimination of [`sum_over_arborescences`](./matrix_tree.md), on logarithms: nothing is subtracted, so that small
    probabilities are right.
    """
    free = np.flatnonzero(~(is_certain[:size] | on_path))
    escape[:] = -np.inf
    escape[np.flatnonzero(is_certain[:size])] = 0.0
    count = len(free)
    # The last two columns: all that is certain, and all that is on the path.
    weight = np.full((count, count + 2), -np.inf)
    mass = np.empty(count)
    for i in range(count):
        for j in range(count):
            if i != j:
                weight[i, j] = arc[free[i], free[j]]
        for head in range(size):
            if is_certain[head]:
                weight[i, count] = _log_add(weight[i, count], arc[free[i], head])
            elif on_path[head]:
                weight[i, count + 1] = _log_add(weight[i, count + 1], arc[free[i], head])
    for k in range(count - 1, -1, -1):
        mass[k] = _log_add(weight[k, count], weight[k, count + 1])
        for j in range(k):
            mass[k] = _log_add(mass[k], weight[k, j])
        if mass[k] == -np.inf:
            continue
        for i in range(k):
            through = weight[i, k] - mass[k]
            if through > -np.inf:
                for j in range(k):
                    if i != j:
                        weight[i, j] = _log_add(weight[i, j], through + weight[k, j])
                for j in range(count, count + 2):
                    weight[i, j] = _log_add(weight[i, j], through + weight[k, j])
    for k in range(count):
        if mass[k] > -np.inf:
            total = weight[k, count]
            for j in range(k):
                total = _log_add(total, weight[k, j] + escape[free[j]])
            escape[free[k]] = total - mass[k]


@njit(nogil=True, cache=True)
def _log_add(a, b):
    top = max(a, b)
    return top if top == -np.inf else top + np.log1p(np.exp(min(a, b) - top))
