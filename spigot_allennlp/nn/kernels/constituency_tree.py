import math

import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import LARGEST_SCORE, NO_STRUCTURE, NOT_A_SCORE, OK, TOO_LARGE
from spigot_allennlp.nn.kernels.wide_floats import ZERO, divide, exponentiate, normal, power_of_two, pull, push

# Kinds of spans: with their own score, and without, as the sum over all ways to split them.
SPAN, SPLIT = range(2)


@njit(nogil=True, cache=True)
def maximum_binary_trees(scores: np.ndarray, mask: np.ndarray, z: np.ndarray) -> tuple[int, int]:
    """
    Writes the spans of the best binary tree of every sentence into `z`, which comes in as zeros. Scores and `z` are
    `(batch, length, length)`, `[b, first, last]`. Returns a status and the sentence it is about.

        split[i, j] = max_{i <= k < j} span[i, k] + span[k + 1, j]        span[i, j] = score[i, j] + split[i, j]

    and `split[i, i] = 0`. As soon as a span is final it is pushed into all longer ones that it is the left half of, so
    that the inner loop runs along rows in memory.
    """
    batch_size, length = mask.shape
    token = np.empty(length, np.int64)
    score = np.empty((length, length), np.float64)
    span = np.empty((length, length), np.float64)
    agenda = np.empty((length + 1, 2), np.int64)

    for sentence in range(batch_size):
        size = _load(scores[sentence], mask[sentence], token, score)
        if size < 0:
            return NOT_A_SCORE, sentence
        if size == 0:
            continue
        for i in range(size - 1, -1, -1):
            row = span[i]
            row[:size] = -np.inf
            row[i] = 0.0
            for j in range(i, size):
                row[j] += score[i, j]
                for t in range(j + 1, size):
                    row[t] = max(row[t], row[j] + span[j + 1, t])
        if span[0, size - 1] == -np.inf:
            return NO_STRUCTURE, sentence

        # No back pointers are kept: the spans of the best tree look for their split again.
        agenda[0] = 0, size - 1
        pending = 1
        while pending > 0:
            pending -= 1
            i, j = agenda[pending]
            z[sentence, token[i], token[j]] = 1
            if i == j:
                continue
            split = i
            for k in range(i + 1, j):
                if span[i, k] + span[k + 1, j] > span[i, split] + span[split + 1, j]:
                    split = k
            agenda[pending] = i, split
            agenda[pending + 1] = split + 1, j
            pending += 2
    return OK, 0


@njit(nogil=True, cache=True)
def sum_over_binary_trees(
    scores: np.ndarray, mask: np.ndarray, log_partition: np.ndarray, marginals: np.ndarray
) -> tuple[int, int]:
    """
    Fills `log_partition` and `marginals`, which comes in as zeros, by the inside-outside algorithm. All values are
    float64, or complex128 for complex-step differentiation. Returns a status and the sentence it is about.

    The inside pass is that of `maximum_binary_trees`, with sums and products in place of maxima and sums. The outside
    pass takes the same steps in reverse and gives each half of a span its share in the probability of the whole.
    """
    batch_size, length = mask.shape
    token = np.empty(length, np.int64)
    score = np.empty((length, length), scores.dtype)
    score_exponent = np.empty((length, length), np.int64)
    # Indexed by kind, first and last position of the span.
    value = np.empty((2, length, length), scores.dtype)
    exponent = np.empty((2, length, length), np.int64)
    probability = np.empty((1, length, length), scores.dtype)
    # The probabilities of the spans from one position on, divided by their values.
    ratio = np.empty((2, length), scores.dtype)

    for sentence in range(batch_size):
        size = _load(scores[sentence], mask[sentence], token, score)
        if size < 0:
            return NOT_A_SCORE, sentence
        if size == 0:
            continue
        if not _inside(size, score, score_exponent, value, exponent):
            return TOO_LARGE, sentence
        last = size - 1
        if value[SPAN, 0, last] == 0:
            return NO_STRUCTURE, sentence
        log_partition[sentence] = np.log(value[SPAN, 0, last]) + exponent[SPAN, 0, last] * math.log(2)
        if log_partition[sentence].real < -LARGEST_SCORE * 2 * size:
            return TOO_LARGE, sentence

        probability[0, :size, :size] = 0
        probability[0, 0, last] = 1
        for i in range(size):
            for j in range(last, i - 1, -1):
                if j < last:
                    probability[0, i, j] += pull(
                        value, exponent, probability, ratio,
                        value[SPAN, i, j], exponent[SPAN, i, j], SPAN, j + 1, SPLIT, i, j + 1, size,
                    )  # fmt: skip
                ratio[SPLIT, j] = divide(probability[0, i, j], value[SPLIT, i, j])
                marginals[sentence, token[i], token[j]] = probability[0, i, j]
    return OK, 0


@njit(nogil=True, cache=True)
def sample_binary_trees(scores: np.ndarray, mask: np.ndarray, uniform: np.ndarray, z: np.ndarray) -> tuple[int, int]:
    """
    Writes the spans of random trees into `z`, `(num_samples, batch, length, length)`, which comes in as zeros. From the
    top on, each span takes one of its splits in proportion to what it adds to the inside sum, by one of the numbers
    `uniform` in [0, 1), `(num_samples, batch, length)`. Returns a status and the sentence it is about.
    """
    num_samples, batch_size, length = uniform.shape
    token = np.empty(length, np.int64)
    score = np.empty((length, length), np.float64)
    score_exponent = np.empty((length, length), np.int64)
    value = np.empty((2, length, length), np.float64)
    exponent = np.empty((2, length, length), np.int64)
    agenda = np.empty((length + 1, 2), np.int64)

    for sentence in range(batch_size):
        size = _load(scores[sentence], mask[sentence], token, score)
        if size < 0:
            return NOT_A_SCORE, sentence
        if size == 0:
            continue
        if not _inside(size, score, score_exponent, value, exponent):
            return TOO_LARGE, sentence
        if value[SPAN, 0, size - 1] == 0:
            return NO_STRUCTURE, sentence
        span, span_e = value[SPAN], exponent[SPAN]
        for sample in range(num_samples):
            agenda[0] = 0, size - 1
            pending = 1
            num_splits = 0
            while pending > 0:
                pending -= 1
                i, j = agenda[pending]
                z[sample, sentence, token[i], token[j]] = 1
                if i == j:
                    continue
                rest = uniform[sample, sentence, num_splits] * value[SPLIT, i, j]
                num_splits += 1
                split = -1
                for k in range(i, j):
                    weight = span[i, k] * span[k + 1, j]
                    weight *= power_of_two(span_e[i, k] + span_e[k + 1, j] - exponent[SPLIT, i, j])
                    if weight > 0:
                        split = k
                        rest -= weight
                        if rest < 0:
                            break
                agenda[pending] = i, split
                agenda[pending + 1] = split + 1, j
                pending += 2
    return OK, 0


@njit(nogil=True, cache=True)
def _load(scores, mask, token, score):
    """
    Copies one sentence's scores into `score`, with padding left out: position `p` there is position `token[p]` of the
    sentence. Returns the number of tokens, or -1 where a score is NaN or +inf.
    """
    size = 0
    for position in range(len(mask)):
        if mask[position]:
            token[size] = position
            size += 1
    for i in range(size):
        score[i, :i] = -np.inf
        for j in range(i, size):
            score[i, j] = scores[token[i], token[j]]
            if not score[i, j].real < np.inf:
                return -1
    return size


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def _inside(size, score, score_exponent, value, exponent):
    """
    The sums over all spans; `score` is replaced by what `exponentiate` makes of it. Returns whether no score is too
    large.
    """
    if not exponentiate(score, score_exponent, size):
        return False
    for i in range(size - 1, -1, -1):
        value[SPLIT, i, :size] = 0
        exponent[SPLIT, i, :size] = ZERO
        value[SPLIT, i, i], exponent[SPLIT, i, i] = 1, 0
        for j in range(i, size):
            split, split_e = normal(value[SPLIT, i, j], exponent[SPLIT, i, j])
            span, span_e = normal(split * score[i, j], split_e + score_exponent[i, j])
            value[SPLIT, i, j], exponent[SPLIT, i, j] = split, split_e
            value[SPAN, i, j], exponent[SPAN, i, j] = span, span_e
            if j + 1 < size:
                push(value, exponent, span, span_e, SPAN, j + 1, SPLIT, i, j + 1, size)
    return True
