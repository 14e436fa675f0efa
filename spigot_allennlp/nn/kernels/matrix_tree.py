import math

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
from spigot_allennlp.nn.kernels.exponential import exponentiate_row
from spigot_allennlp.nn.kernels.sentence import load_sentence

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
    Fills `log_partition` and `marginals`, which comes in as zeros, or empty if nobody wants them. Returns a status and
    the sentence it is about. All numbers are float64, or complex128 for complex-step differentiation.

    The determinant of the matrix-tree theorem is taken by eliminating one token k after the other, as
    [Grassmann, Taksar & Heyman, 1985](https://doi.org/10.1287/opre.33.5.1107) do with Markov chains: arcs over k are
    added to the direct arcs from its heads to its modifiers,

        mass[k] = sum_h weight[k, h]        weight[m, h] += weight[m, k] * weight[k, h] / mass[k]    (h != m)

    and the partition function is the product of the masses. Nothing is subtracted, so that no digits are lost where
    cycles are much likelier than trees, as they are in LU factors or an inverse.

    A single root: multiply all arcs from ROOT by t, and the trees with one root are the term in t, when t goes to 0.
    There ROOT counts in no token's mass but the last one's.

    Without the marginals, what the arcs that count as `exp(LOWEST)` have in probability is bounded instead: the trees
    with one of them are worth no more than all ways to choose the other tokens' heads. Where that bound is too high to
    be of use, the marginals are found after all.
    """
    batch_size, length = mask.shape
    token = np.empty(length, np.int64)
    arc = np.empty((length, length), scores.dtype)
    weight = np.empty((length, length), scores.dtype)
    slope = np.empty((length, length), scores.dtype)
    mass = np.zeros(length, scores.dtype)
    # Of one token: how much worse its heads are than the best, then how much less likely.
    row = np.empty(length, np.float64)
    power = np.empty(length, np.float64)
    lowest = np.exp(LOWEST)

    for sentence in range(batch_size):
        size = load_sentence(scores[sentence], mask[sentence], token, arc)
        if size < 0:
            return NOT_A_SCORE, sentence
        if size == 1:
            continue
        total = mass[0] * 0
        # The logarithm of the sum over all ways to choose heads.
        log_choices = 0.0
        for modifier in range(1, size):
            scores_of_heads = arc[modifier]
            best = _largest(scores_of_heads, size)
            if best <= FORBIDDEN:
                return NO_STRUCTURE, sentence
            if best > LARGEST_SCORE:
                return TOO_LARGE, sentence
            total += best
            for head in range(np.uint64(size)):
                row[head] = max(scores_of_heads[head].real - best, LOWEST)
            exponentiate_row(row, size, power)
            choices = 0.0
            for head in range(np.uint64(size)):
                choices += row[head]
                difference = scores_of_heads[head] - best
                infinitesimal = difference - difference.real
                scores_of_heads[head] = row[head] * (1 + infinitesimal) if difference.real > LOWEST else lowest
                weight[modifier, head] = scores_of_heads[head]
            log_choices += math.log(choices)

        log_product = _eliminate(weight, mass, size, single_root)
        total += log_product
        log_partition[sentence] = total
        is_sure = log_choices - log_product.real < math.log(NEGLIGIBLE / size**2) - LOWEST
        if len(marginals) > 0 or not (is_sure and log_product.real < np.inf):
            _differentiate(weight, mass, slope, size, single_root)
            if not _in_range(arc, slope, size, lowest):
                return OUT_OF_RANGE, sentence
        if total.real < -LARGEST_SCORE * size:
            return TOO_LARGE if total.real > FORBIDDEN / 2 else NO_STRUCTURE, sentence
        if len(marginals) > 0:
            for modifier in range(1, size):
                probabilities, row_of_marginals = arc[modifier], marginals[sentence, token[modifier]]
                for head in range(np.uint64(size)):
                    if probabilities[head].real > 0:
                        row_of_marginals[token[head]] = probabilities[head]
    return OK, 0


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _in_range(arc, slope, size, lowest):
    """Replaces the weights in `arc` by probabilities; returns whether they can be trusted."""
    lowest_probability = 0.0
    for modifier in range(1, size):
        sum_of_heads = 0.0
        weights, slopes = arc[modifier], slope[modifier]
        for head in range(np.uint64(size)):
            probability = weights[head] * slopes[head]
            sum_of_heads += probability.real
            lowest_probability += probability.real if weights[head].real <= lowest else 0.0
            weights[head] = probability
        if not abs(sum_of_heads - 1) < TOLERANCE:
            return False
    return lowest_probability < NEGLIGIBLE


# Unsigned indices need no wrapping, without which the inner loops are vectorised.
@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _eliminate(weight, mass, size, single_root):
    """
    The logarithm of the product of all masses. Leaves in row k of `weight`, left of the diagonal, the share of each
    head in `mass[k]`, and in column k, above it, what the modifiers had of k; both as they were when k was eliminated.
    The diagonal is never read. Two tokens are eliminated at a time, which saves reading and writing all others again.
    """
    log_product = mass[0] * 0
    for k in range(size - 1, 0, -2):
        share = weight[k]
        log_product += _share_out(share, mass, k, single_root)
        if k == 1:
            break
        other = weight[k - 1]
        for head in range(np.uint64(k - 1)):
            other[head] += other[k] * share[head]
        log_product += _share_out(other, mass, k - 1, single_root)
        for modifier in range(1, k - 1):
            heads = weight[modifier]
            factor = heads[k]
            heads[k - 1] += factor * share[k - 1]
            other_factor = heads[k - 1]
            for head in range(np.uint64(k - 1)):
                heads[head] += factor * share[head] + other_factor * other[head]
    return log_product


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _share_out(weight, mass, k, single_root):
    """Divides the weights of the heads that are left for k by their mass, of which it returns the logarithm."""
    total = weight[0] * 0
    for head in range(1 if single_root and k > 1 else 0, k):
        total += weight[head]
    mass[k] = total
    scale = 1 / total
    for head in range(np.uint64(k)):
        weight[head] *= scale
    return np.log(total)


# No weight is NaN any more.
@njit(nogil=True, cache=True, fastmath={"nnan", "nsz", "reassoc"})
def _largest(row, size):
    largest = -np.inf
    for i in range(np.uint64(size)):
        largest = max(largest, row[i].real)
    return largest


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
        # Four modifiers at a time, which saves reading and writing the gains.
        several = 1 + (k - 1) // 4 * 4
        for modifier in range(1, several, 4):
            heads, heads_2 = slope[modifier], slope[modifier + 1]
            heads_3, heads_4 = slope[modifier + 2], slope[modifier + 3]
            factor, factor_2 = weight[modifier, k], weight[modifier + 1, k]
            factor_3, factor_4 = weight[modifier + 2, k], weight[modifier + 3, k]
            total = total_2 = total_3 = total_4 = mass[0] * 0
            for head in range(np.uint64(k)):
                gain[head] += (
                    factor * heads[head]
                    + factor_2 * heads_2[head]
                    + factor_3 * heads_3[head]
                    + factor_4 * heads_4[head]
                )
                total += share[head] * heads[head]
                total_2 += share[head] * heads_2[head]
                total_3 += share[head] * heads_3[head]
                total_4 += share[head] * heads_4[head]
            heads[k], heads_2[k], heads_3[k], heads_4[k] = total, total_2, total_3, total_4
        for modifier in range(several, k):
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
