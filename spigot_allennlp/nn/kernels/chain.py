import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, OK
from spigot_allennlp.nn.kernels.best_first import insert
from spigot_allennlp.nn.kernels.random import draw_from_logits


@njit(nogil=True, cache=True)
def sample_chains(scores: np.ndarray, mask: np.ndarray, seeds: np.ndarray, pairs: np.ndarray) -> tuple[int, int]:
    """
    Fills `pairs`, `(num_samples, batch, length)` and -1 where the mask is False, with label sequences that are as
    likely as `exp` of their score; a pair is `previous * labels + current`. `scores` are `(batch, length, labels,
    labels)` float64, below +inf, -inf for the first token where `previous` is not 0; `seeds` are `(num_samples,
    batch)`. Returns a status and the sentence it is about.

    After the forward algorithm, labels are drawn from the last to the first.
    """
    num_samples, batch_size, length = pairs.shape
    num_labels = scores.shape[2]
    forward = np.empty((length, num_labels))
    logits = np.empty(num_labels)
    cumulative = np.empty(num_labels)
    state = np.empty(1, np.uint64)
    for sentence in range(batch_size):
        tokens = np.flatnonzero(mask[sentence])
        if len(tokens) == 0:
            continue
        _sum_forward(scores[sentence], tokens, forward)
        for sample in range(num_samples):
            state[0] = np.uint64(seeds[sample, sentence])
            label = draw_from_logits(forward[len(tokens) - 1], cumulative, state)
            if label < 0:
                return NO_STRUCTURE, sentence
            for t in range(len(tokens) - 1, 0, -1):
                for previous in range(num_labels):
                    logits[previous] = forward[t - 1, previous] + scores[sentence, tokens[t], previous, label]
                previous = draw_from_logits(logits, cumulative, state)
                pairs[sample, sentence, tokens[t]] = previous * num_labels + label
                label = previous
            pairs[sample, sentence, tokens[0]] = label
    return OK, 0


@njit(nogil=True, cache=True)
def _sum_forward(scores, tokens, forward):
    """The log-sums over all that comes before a token and its label: `forward[t, label]`."""
    num_labels = scores.shape[2]
    top = np.empty(num_labels)
    forward[0] = scores[tokens[0], 0]
    for t in range(1, len(tokens)):
        score, before, now = scores[tokens[t]], forward[t - 1], forward[t]
        top[:] = -np.inf
        for previous in range(num_labels):
            for label in range(num_labels):
                top[label] = max(top[label], before[previous] + score[previous, label])
        now[:] = 0
        for previous in range(num_labels):
            if before[previous] > -np.inf:
                for label in range(num_labels):
                    if top[label] > -np.inf:
                        now[label] += np.exp(before[previous] + score[previous, label] - top[label])
        for label in range(num_labels):
            now[label] = np.log(now[label]) + top[label] if top[label] > -np.inf else -np.inf


@njit(nogil=True, cache=True)
def k_best_chains(scores: np.ndarray, mask: np.ndarray, pairs: np.ndarray, totals: np.ndarray) -> tuple[int, int]:
    """
    Fills `pairs`, `(k, batch, length)`, with the best label sequences, best first, and `totals`, `(k, batch)`, with
    their scores; they come in as -1 and -inf. Pairs and `scores` are as in [`sample_chains`](#sample_chains). Returns a
    status and the sentence it is about.

    After Viterbi's algorithm, labels are chosen from the last to the first, best first, as in
    [`k_best_projective_trees`](./k_best_eisner.md): `O(length labels^2)`, and `O(length (labels + k))` a sequence.
    """
    _, batch_size, length = pairs.shape
    best = np.empty((length, scores.shape[2]))
    for sentence in range(batch_size):
        tokens = np.flatnonzero(mask[sentence])
        if len(tokens) == 0:
            totals[0, sentence] = 0
            continue
        _maximise_forward(scores[sentence], tokens, best)
        if not _enumerate(scores[sentence], tokens, best, pairs[:, sentence], totals[:, sentence]):
            return NO_STRUCTURE, sentence
    return OK, 0


@njit(nogil=True, cache=True)
def _maximise_forward(scores, tokens, best):
    """What the best sequence up to a token with a label is worth: `best[t, label]`."""
    num_labels = scores.shape[2]
    best[0] = scores[tokens[0], 0]
    for t in range(1, len(tokens)):
        score, before, now = scores[tokens[t]], best[t - 1], best[t]
        now[:] = -np.inf
        for previous in range(num_labels):
            for label in range(num_labels):
                now[label] = max(now[label], before[previous] + score[previous, label])


@njit(nogil=True, cache=True)
def _enumerate(scores, tokens, best, pairs, totals):
    """Writes the best sequences; False if there is none."""
    k, num_labels, size = len(pairs), scores.shape[2], len(tokens)
    worth = np.empty(k)
    pending = np.empty((k, 2), np.int64)
    # A record is a label to be chosen for a token: the token's number, the record and the label after it.
    records = np.empty((k * size + 1, 3), np.int64)
    records[0] = size - 1, -1, 0
    num_records, count = 1, 0
    for label in range(num_labels):
        if best[size - 1, label] > -np.inf:
            count = insert(worth, pending, count, best[size - 1, label], 0, label)
    if count == 0:
        return False
    exact = np.empty(k)
    found = np.empty((k, size), np.int64)
    rank = 0
    while rank < k and count > 0:
        count -= 1
        total, record, label = worth[count], pending[count, 0], pending[count, 1]
        t = records[record, 0]
        while t > 0:
            # Choose the label before this one.
            records[num_records] = t - 1, record, label
            record = num_records
            num_records += 1
            choice = 0
            for previous in range(num_labels):
                value = best[t - 1, previous] + scores[tokens[t], previous, label]
                if value > best[t - 1, choice] + scores[tokens[t], choice, label]:
                    choice = previous
            top = best[t - 1, choice] + scores[tokens[t], choice, label]
            for previous in range(num_labels):
                value = best[t - 1, previous] + scores[tokens[t], previous, label]
                if previous != choice and value > -np.inf:
                    count = insert(worth, pending, count, total - (top - value), record, previous)
            label = choice
            t -= 1
        found[rank, 0] = label
        exact[rank] = scores[tokens[0], 0, label]
        before = label
        for t in range(1, size):
            label, record = records[record, 2], records[record, 1]
            found[rank, t] = before * num_labels + label
            exact[rank] += scores[tokens[t], before, label]
            before = label
        rank += 1
    order = np.argsort(-exact[:rank], kind="mergesort")
    for place in range(rank):
        totals[place] = exact[order[place]]
        for t in range(size):
            pairs[place, tokens[t]] = found[order[place], t]
    return True
