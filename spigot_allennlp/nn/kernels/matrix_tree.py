import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import (
    FORBIDDEN,
    LARGEST_SCORE,
    NO_STRUCTURE,
    NOT_A_SCORE,
    OK,
    OUT_OF_RANGE,
    TOO_LARGE,
)
from spigot_allennlp.nn.kernels.sentence import exp, load_sentence

# Every arc counts as at least exp(LOWEST) times as likely as the best arc of its modifier, so that nothing underflows.
# The result stands if the arcs that this concerns have no more than NEGLIGIBLE probability in all, and if the
# probabilities of each token's heads sum to 1, within TOLERANCE.
LOWEST = -300.0
NEGLIGIBLE = 1e-20
TOLERANCE = 1e-9


@njit(nogil=True, cache=True)
def sum_over_arborescences(
    scores: np.ndarray, mask: np.ndarray, single_root: bool, log_partition: np.ndarray, marginals: np.ndarray
) -> tuple[int, int]:
    """
    Fills `log_partition` and `marginals`, which comes in as zeros; see
    [`arborescence_log_partition`](../arborescence.md). Returns a status and the sentence it is about. All numbers are
    float64, or complex128 for complex-step differentiation.

    The determinant of the matrix-tree theorem is taken by eliminating one token k after the other, as
    [Grassmann, Taksar & Heyman, 1985](https://doi.org/10.1287/opre.33.5.1107) do with Markov chains: arcs over k are
    added to the direct arcs from its heads to its modifiers,

        mass[k] = sum_h weight[k, h]        weight[m, h] += weight[m, k] * weight[k, h] / mass[k]    (h != m)

    and the partition function is the product of the masses. Nothing is subtracted, so that no digits are lost where
    cycles are much likelier than trees, as they are in LU factors or an inverse.

    A single root: multiply all arcs from ROOT by t, and the trees with one root are the term in t, when t goes to 0.
    There ROOT counts in no token's mass but the last one's.
    """
    batch_size, length = mask.shape
    token = np.empty(length, np.int64)
    arc = np.empty((length, length), scores.dtype)
    weight = np.empty((length, length), scores.dtype)
    slope = np.empty((length, length), scores.dtype)
    mass = np.zeros(length, scores.dtype)
    lowest = np.exp(LOWEST)

    for sentence in range(batch_size):
        size = load_sentence(scores[sentence], mask[sentence], token, arc)
        if size < 0:
            return NOT_A_SCORE, sentence
        if size == 1:
            continue
        total = mass[0] * 0
        for modifier in range(1, size):
            best = -np.inf
            for head in range(size):
                best = max(best, arc[modifier, head].real)
            if best <= FORBIDDEN:
                return NO_STRUCTURE, sentence
            if best > LARGEST_SCORE:
                return TOO_LARGE, sentence
            total += best
            for head in range(size):
                difference = arc[modifier, head] - best
                weight[modifier, head] = exp(difference) if difference.real > LOWEST else lowest
            arc[modifier, :size] = weight[modifier, :size]

        total += _eliminate(weight, mass, size, single_root)
        _differentiate(weight, mass, slope, size, single_root)
        log_partition[sentence] = total
        lowest_probability = 0.0
        for modifier in range(1, size):
            sum_of_heads = 0.0
            for head in range(size):
                probability = arc[modifier, head] * slope[modifier, head]
                if probability.real > 0:
                    marginals[sentence, token[modifier], token[head]] = probability
                sum_of_heads += probability.real
                if arc[modifier, head].real <= lowest:
                    lowest_probability += probability.real
            if not abs(sum_of_heads - 1) < TOLERANCE:
                return OUT_OF_RANGE, sentence
        if not lowest_probability < NEGLIGIBLE:
            return OUT_OF_RANGE, sentence
        if total.real < -LARGEST_SCORE * size:
            return TOO_LARGE if total.real > FORBIDDEN / 2 else NO_STRUCTURE, sentence
    return OK, 0


# Unsigned indices need no wrapping, without which the inner loops are vectorised.
@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _eliminate(weight, mass, size, single_root):
    """
    The logarithm of the product of all masses. Leaves in row k of `weight`, left of the diagonal, the share of each
    head in `mass[k]`, and in column k, above it, what the modifiers had of k; both as they were when k was eliminated.
    The diagonal is never read.
    """
    log_product = mass[0] * 0
    for k in range(size - 1, 0, -1):
        share = weight[k]
        mass[k] = 0
        for head in range(1 if single_root and k > 1 else 0, k):
            mass[k] += share[head]
        log_product += np.log(mass[k])
        scale = 1 / mass[k]
        for head in range(np.uint64(k)):
            share[head] *= scale
        for modifier in range(1, k):
            heads = weight[modifier]
            factor = heads[k]
            for head in range(np.uint64(k)):
                heads[head] += factor * share[head]
    return log_product


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _differentiate(weight, mass, slope, size, single_root):
    """
    Fills `slope`, the derivative of the logarithm of the partition function with respect to the weights, by the steps
    of `_eliminate` in reverse. Row 0, which no arc needs, is where the derivatives for the heads of k add up.
    """
    gain = slope[0]
    for k in range(1, size):
        share = weight[k]
        gain[:k] = 0
        for modifier in range(1, k):
            heads = slope[modifier]
            factor = weight[modifier, k]
            total = factor * 0
            for head in range(np.uint64(k)):
                gain[head] += factor * heads[head]
                total += share[head] * heads[head]
            heads[k] = total
        from_mass = mass[0] * 0 + 1
        for head in range(k):
            from_mass -= share[head] * gain[head]
        scale = 1 / mass[k]
        for head in range(k):
            counts = head > 0 or k == 1 or not single_root
            slope[k, head] = (gain[head] + from_mass if counts else gain[head]) * scale
        slope[k, k] = 0
