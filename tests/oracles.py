"""
What structures a short sentence has, by enumeration, and everything that follows from a list of them by textbook means.
Imports nothing from the package under test.

Enumerators return `(structures, ...)` float64 0/1, where `...` are the axes of one sentence's scores.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import cache

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment, lsq_linear, nnls


def is_tree(heads: tuple[int, ...]) -> bool:
    """Whether all of `heads[1:]` lead to position 0, ROOT; `heads[0]` is ignored."""
    for token in range(1, len(heads)):
        position = token
        for _ in heads:
            position = heads[position] if position > 0 else 0
        if position > 0:
            return False
    return True


def is_projective(heads: tuple[int, ...]) -> bool:
    """Whether no two arcs cross, the arcs from ROOT at position 0 included."""
    spans = [sorted((token, heads[token])) for token in range(1, len(heads))]
    return not any(a < c < b < d for (a, b), (c, d) in itertools.product(spans, spans))


def head_assignments(length: int) -> Iterator[tuple[int, ...]]:
    """Every way to give each token another position as its head."""
    choices = ([head for head in range(length) if head != token] for token in range(1, length))
    return ((0, *heads) for heads in itertools.product(*choices))


def single_heads(length: int, legal: Callable[[tuple[int, ...]], bool] = lambda heads: True) -> torch.Tensor:
    """All assignments of heads that are legal, [modifier, head]."""
    one_hot = torch.nn.functional.one_hot(torch.tensor(list(filter(legal, head_assignments(length)))), length).double()
    one_hot[:, 0] = 0
    return one_hot


def nonprojective_trees(length: int, single_root: bool = False) -> torch.Tensor:
    return single_heads(length, lambda heads: is_tree(heads) and (not single_root or has_single_root(heads)))


def projective_trees(length: int, single_root: bool = False) -> torch.Tensor:
    return single_heads(
        length,
        lambda heads: is_tree(heads) and is_projective(heads) and (not single_root or has_single_root(heads)),
    )


def has_single_root(heads: tuple[int, ...]) -> bool:
    return len(heads) == 1 or heads[1:].count(0) == 1


def graphs(
    length: int,
    num_labels: int,
    predicates: bool = False,
    top_label: int | None = None,
    deterministic: tuple[int, ...] = (),
) -> torch.Tensor:
    """
    All labelled graphs, [predicate, argument, label]. With `predicates`, once for every way to have predicates on, in
    [predicate, 0, 0], among them all that have arcs; with `top_label`, those in which the arguments of ROOT, and no
    others, have this label; with `deterministic`, those in which no predicate uses such a label twice.
    """
    of_each = [_of_one_predicate(p, length, num_labels, predicates, top_label, deterministic) for p in range(length)]
    return torch.stack([torch.stack(rows) for rows in itertools.product(*of_each)])


def _of_one_predicate(
    predicate: int,
    length: int,
    num_labels: int,
    predicates: bool,
    top_label: int | None,
    deterministic: tuple[int, ...],
) -> list[torch.Tensor]:
    arguments = [a for a in range(1, length) if a != predicate]
    allowed = [k for k in range(num_labels) if top_label is None or (k == top_label) == (predicate == 0)]
    found = []
    for labels in itertools.product([-1, *allowed], repeat=len(arguments)):
        if any(labels.count(k) > 1 for k in deterministic):
            continue
        z = torch.zeros(length, num_labels, dtype=torch.double)
        for argument, label in zip(arguments, labels, strict=True):
            if label >= 0:
                z[argument, label] = 1
        if predicates:
            if not z.any():
                found.append(z.clone())
            z[0, 0] = 1
        found.append(z)
    return found


def label_sequences(length: int, num_labels: int) -> torch.Tensor:
    """All label sequences, [position, previous, current]; at first, previous is 0."""
    found = []
    for labels in itertools.product(range(num_labels), repeat=length):
        z = torch.zeros(length, num_labels, num_labels, dtype=torch.double)
        for position, (previous, current) in enumerate(itertools.pairwise((0, *labels))):
            z[position, previous, current] = 1
        found.append(z)
    return torch.stack(found)


def label_pairs(length: int, num_labels: int) -> torch.Tensor:
    """As `label_sequences`, but no pair need agree with the one before."""
    pair = torch.eye(num_labels**2, dtype=torch.double).view(-1, num_labels, num_labels)
    choices = [pair[:num_labels] if position == 0 else pair for position in range(length)]
    return torch.stack([torch.stack(pairs) for pairs in itertools.product(*choices)])


def k_subsets(length: int, k: int) -> torch.Tensor:
    """All subsets of `k` positions, or of all if there are fewer, [position]."""
    chosen = itertools.combinations(range(length), min(k, length))
    return torch.stack(
        [torch.zeros(length, dtype=torch.double).index_fill(0, torch.tensor(c).long(), 1) for c in chosen]
    )


def permutations(length: int) -> torch.Tensor:
    """All permutation matrices, [row, column]."""
    orders = [torch.tensor(order).long() for order in itertools.permutations(range(length))]
    return torch.stack([torch.eye(length, dtype=torch.double)[order] for order in orders])


@cache
def bracketings(first: int, last: int) -> list[frozenset[tuple[int, int]]]:
    """The spans of all binary trees over the tokens from `first` to `last`."""
    if first >= last:
        return [frozenset([(first, last)] if first == last else [])]
    return [
        left | right | {(first, last)}
        for middle in range(first, last)
        for left, right in itertools.product(bracketings(first, middle), bracketings(middle + 1, last))
    ]


def constituency_trees(length: int, num_labels: int) -> torch.Tensor:
    """All binary trees with a label for each span, [first, last, label]."""
    labelled = itertools.chain.from_iterable(
        itertools.product(*([(*span, label) for label in range(num_labels)] for span in spans))
        for spans in bracketings(0, length - 1)
    )
    return indicators(labelled, length, length, num_labels)


def labelled_spans(length: int, num_labels: int) -> torch.Tensor:
    """As `constituency_trees`, but any spans between the tokens and the sentence are in it, and others are not."""
    choices = [
        [(first, last, label) for label in range(num_labels)] + [None] * (first < last and last - first < length - 1)
        for first in range(length)
        for last in range(first, length)
    ]
    return indicators(itertools.product(*choices), length, length, num_labels)


def segmentations(length: int, max_width: int, num_labels: int) -> torch.Tensor:
    """All ways to cut into labelled segments, [first, width - 1, label]."""
    cut = {length: [()]}  # by where the rest begins
    for first in reversed(range(length)):
        cut[first] = [
            ((first, width - 1, label), *rest)
            for width in range(1, min(max_width, length - first) + 1)
            for label in range(num_labels)
            for rest in cut[first + width]
        ]
    return indicators(cut[0], length, max_width, num_labels)


def labelled_segments(length: int, max_width: int, num_labels: int) -> torch.Tensor:
    """As `segmentations`, but only the first token need begin a segment, whatever else does, and how far it reaches."""
    choices = [
        [(first, width, label) for width in range(min(max_width, length - first)) for label in range(num_labels)]
        + [None] * (first > 0)
        for first in range(length)
    ]
    return indicators(itertools.product(*choices), length, max_width, num_labels)


def monotone_alignments(rows: int, columns: int) -> torch.Tensor:
    """All paths from the first cell to the last by steps right, down and both, [row, column]."""
    paths = {(-1, -1): [()]}  # by where they end
    for i, j in itertools.product(range(rows), range(columns)):
        before = ((i - 1, j), (i, j - 1), (i - 1, j - 1))
        paths[i, j] = [(*path, (i, j)) for cell in before for path in paths.get(cell, [])]
    return indicators(paths[rows - 1, columns - 1], rows, columns)


def row_alignments(rows: int, columns: int) -> torch.Tensor:
    """One cell of every row, or more, whatever the others have."""
    subsets = torch.tensor(list(itertools.product((0.0, 1.0), repeat=columns)), dtype=torch.double)
    return torch.stack([torch.stack(chosen) for chosen in itertools.product(subsets[1:], repeat=rows)])


def matchings(rows: int, columns: int, complete: bool) -> torch.Tensor:
    """All matchings, [row, column]; if `complete`, those with as many pairs as there can be."""
    most = min(rows, columns)
    found = (
        zip(chosen, partners, strict=True)
        for size in range(most if complete else 0, most + 1)
        for chosen in itertools.combinations(range(rows), size)
        for partners in itertools.permutations(range(columns), size)
    )
    return indicators(found, rows, columns)


def row_matchings(rows: int, columns: int, complete: bool) -> torch.Tensor:
    """As `matchings`, but several rows may have the same partner."""
    alone = [] if complete and rows <= columns else [None]
    choices = [[(row, column) for column in range(columns)] + alone for row in range(rows)]
    return indicators(itertools.product(*choices), rows, columns)


def subsets_up_to(length: int, k: int) -> torch.Tensor:
    """All subsets of at most `k` positions, [position]."""
    chosen = torch.tensor(list(itertools.product((0.0, 1.0), repeat=length)), dtype=torch.double)
    return chosen[chosen.sum(1) <= k]


def indicators(structures: Iterable[Iterable[tuple[int, ...] | None]], *shape: int) -> torch.Tensor:
    """Of lists of cells; `None` is none."""
    found = []
    for cells in structures:
        z = torch.zeros(shape, dtype=torch.double)
        for cell in cells:
            if cell is not None:
                z[cell] = 1
        found.append(z)
    return torch.stack(found)


def total_scores(structures: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """
    The score of every structure in every sentence, `(batch, structures)` float64; parts of score -inf may be left
    unused.
    """
    parts = structures.flatten(1).bool()
    return torch.where(parts, scores.double().flatten(1).unsqueeze(1), 0.0).sum(dim=2)


def best_scores(structures: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return total_scores(structures, scores).amax(1)


def best_structures(structures: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return structures[total_scores(structures, scores).argmax(1)]


def log_partition(structures: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return total_scores(structures, scores).logsumexp(1)


def marginals(structures: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return torch.tensordot(total_scores(structures, scores).softmax(1), structures, 1)


def nearest_in_hull(vertices: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """
    The nearest point of the convex hull to one `point`, by the least-distance problem of Lawson & Hanson (1974),
    chapter 23: the non-negative least-squares solution of `[vertices - point; 1] w = [0; 1]`, scaled to sum to 1.
    """
    columns, target = vertices.flatten(1).numpy(), point.double().flatten().numpy()
    system, right = np.vstack([(columns - target).T, np.ones(len(columns))]), np.append(np.zeros(len(target)), 1.0)
    weights, _ = nnls(system, right, maxiter=100 * len(columns))
    nearest = weights / weights.sum() @ columns
    if ((columns - nearest) @ (target - nearest)).max() > 1e-9 * max(1, np.abs(target).max()):
        # SciPy's `nnls` may be wrong where many columns do equally well; this is slower.
        weights = lsq_linear(system, right, (0, np.inf), method="bvls", tol=1e-16).x
        nearest = weights / weights.sum() @ columns
    return torch.from_numpy(nearest).view(point.shape)


def duality_gap(best: float, point: torch.Tensor, projection: torch.Tensor) -> float:
    """
    By how much a structure that is worth `best` in the direction `point - projection` is better there than the
    projection: for the very best structure, at least the squared distance from the projection to the true one.
    """
    return best - float(((point - projection) * projection).sum())


def best_assignment(scores: torch.Tensor, deterministic: torch.Tensor) -> float:
    """What the best labels of one predicate are worth, `scores` being `(arguments, labels)`: by SciPy's assignment."""
    free = scores.double().masked_fill(deterministic, -torch.inf).amax(1).clamp(min=0)
    gain = (scores.double()[:, deterministic] - free.unsqueeze(1)).clamp(min=0).numpy()
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return float(free.sum()) + float(gain[rows, columns].sum())
