import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE, OK
from spigot_allennlp.nn.kernels.best_first import insert
from spigot_allennlp.nn.kernels.eisner import LEFT, OPEN, RIGHT, _fill_row
from spigot_allennlp.nn.kernels.sentence import load_sentence, write_ranked

# The whole tree, where its one token under ROOT is to be chosen.
TOP = 3
NONE = -1


@njit(nogil=True, cache=True)
def k_best_projective_trees(
    scores: np.ndarray, mask: np.ndarray, single_root: bool, heads: np.ndarray, totals: np.ndarray
) -> tuple[int, int]:
    """
    Fills `heads`, `(k, batch, length)`, with the best projective trees, best first, and `totals`, `(k, batch)`, with
    their scores. They come in as -1 and -inf. Returns a status and the sentence it is about.

    The chart is that of [`maximum_projective_trees`](./eisner.md). It tells what the best completion of a choice is
    worth, so that choices can be made from the top down, best first: on the way to a tree, whatever was not chosen is
    kept for later, with its worth, but no more of it than trees are wanted. The chart costs `O(length^3)`, a tree
    `O(length (length + k))`.
    """
    k, batch_size, length = heads.shape
    token = np.empty(length, np.int64)
    arc = np.empty((length, length), np.float64)
    chart = (
        np.empty((length, length), np.float64),
        np.empty((length, length), np.float64),
        np.empty((length, length), np.float64),
        np.empty((length, length), np.float64),
    )
    both = np.empty(length, np.float64)
    found = np.empty((k, length), np.int64)
    for sentence in range(batch_size):
        size = load_sentence(scores[sentence], mask[sentence], token, arc)
        if size < 0:
            return NOT_A_SCORE, sentence
        right, left, right_open, left_open = chart
        for i in range(size - 1, 0 if single_root else -1, -1):
            _fill_row(i, size, arc, right, left, right_open, left_open, both)
        count = 1 if size == 1 else _enumerate(arc, size, single_root, chart, found)
        if count == 0:
            return NO_STRUCTURE, sentence
        write_ranked(found[:count], arc, size, token, heads[:, sentence], totals[:, sentence])
    return OK, 0


@njit(nogil=True, cache=True)
def _enumerate(arc, size, single_root, chart, found):
    """Writes the heads of the best trees into `found`, and returns how many there are."""
    k = len(found)
    last = size - 1
    worth = np.empty(k, np.float64)
    pending = np.empty((k, 2), np.int64)
    # A record is a span to be split: its kind, first and last position, the record and the option before it, and the
    # list of spans to be split after it.
    records = np.empty((2 * k * size + 1, 6), np.int64)
    # Lists of spans: kind, first, last, and the rest of the list.
    spans = np.empty((4 * k * size + 1, 4), np.int64)
    options = np.empty(size, np.float64)
    records[0] = TOP if single_root else RIGHT, 0, last, NONE, NONE, NONE
    num_records, num_spans = 1, 0
    best = _weigh(arc, chart, records[0], size, options)
    if best == -np.inf:
        return 0
    count = 0
    for option in range(size):
        if options[option] > -np.inf:
            count = insert(worth, pending, count, options[option], 0, option)

    for rank in range(k):
        if count == 0:
            return rank
        count -= 1
        total, record, option = worth[count], pending[count, 0], pending[count, 1]
        while True:
            # Split the span of the record at the option, and go on with the next span.
            kind, i, j, _, _, rest = records[record]
            halves = _halves(kind, i, j, option)
            for half_kind, first, end in halves:
                if first < end:
                    spans[num_spans] = half_kind, first, end, rest
                    rest = num_spans
                    num_spans += 1
            if rest == NONE:
                break
            records[num_records] = spans[rest, 0], spans[rest, 1], spans[rest, 2], record, option, spans[rest, 3]
            record = num_records
            num_records += 1
            best = _weigh(arc, chart, records[record], size, options)
            option = np.argmax(options)
            for other in range(size):
                if other != option and options[other] > -np.inf:
                    count = insert(worth, pending, count, total - (best - options[other]), record, other)
        while record != NONE:
            kind, i, j, before, option_before, _ = records[record]
            if kind == RIGHT:
                found[rank, option] = i
            elif kind == LEFT:
                found[rank, option] = j
            elif kind == TOP:
                found[rank, option] = 0
            record, option = before, option_before
    return k


@njit(nogil=True, cache=True)
def _halves(kind, i, j, option):
    """The two spans that a span consists of, where it is split at the option; see `maximum_projective_trees`."""
    if kind == RIGHT:
        return (OPEN, i, option), (RIGHT, option, j)
    if kind == LEFT:
        return (LEFT, i, option), (OPEN, option, j)
    if kind == OPEN:
        return (RIGHT, i, option), (LEFT, option + 1, j)
    return (LEFT, 1, option), (RIGHT, option, j)


@njit(nogil=True, cache=True)
def _weigh(arc, chart, record, size, options):
    """Fills `options` with what the span of a record is worth at most where it is split there; returns the best."""
    right, left, right_open, left_open = chart
    kind, i, j = record[0], record[1], record[2]
    options[:size] = -np.inf
    if kind == RIGHT:
        for k in range(i + 1, j + 1):
            options[k] = right_open[i, k] + right[k, j]
    elif kind == LEFT:
        for k in range(i, j):
            options[k] = left[i, k] + left_open[k, j]
    elif kind == OPEN:
        for k in range(i, j):
            options[k] = right[i, k] + left[k + 1, j]
    else:
        for k in range(1, j + 1):
            options[k] = left[1, k] + arc[k, 0] + right[k, j]
    return options[:size].max()
