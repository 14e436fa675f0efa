"""
What graphs, label sequences and subsets of a short sentence there are, by enumeration, and what follows from such a
list by textbook means. Imports nothing from the package under test.
"""

import itertools

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment, nnls


def graphs(length: int, num_labels: int, deterministic: list[bool] | None = None) -> torch.Tensor:
    """
    All labelled graphs over `length` positions, `(graphs, length, length, labels)` [predicate, argument, label]; with
    `deterministic`, those in which no predicate uses such a label twice.
    """
    pairs = [(p, a) for p in range(length) for a in range(1, length) if p != a]
    found = []
    for labels in itertools.product(range(-1, num_labels), repeat=len(pairs)):
        z = torch.zeros(length, length, num_labels, dtype=torch.double)
        for (p, a), label in zip(pairs, labels, strict=True):
            if label >= 0:
                z[p, a, label] = 1
        if deterministic is None or not (z.sum(1)[:, torch.tensor(deterministic)] > 1).any():
            found.append(z)
    return torch.stack(found)


def graphs_with_predicates(all_graphs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The graphs, once for every way to have predicates on, among them all that have arcs; and these, `(n, length)`."""
    pairs = [
        (z, torch.tensor(on, dtype=torch.double))
        for z in all_graphs
        for on in itertools.product((0, 1), repeat=z.size(0))
        if not (z.sum((1, 2)) > 0)[torch.tensor(on) == 0].any()
    ]
    return torch.stack([z for z, _ in pairs]), torch.stack([on for _, on in pairs])


def label_sequences(length: int, num_labels: int) -> torch.Tensor:
    """All label sequences, `(n, length, labels, labels)` [position, previous, current]; at first, previous is 0."""
    found = []
    for labels in itertools.product(range(num_labels), repeat=length):
        z = torch.zeros(length, num_labels, num_labels, dtype=torch.double)
        for position, (previous, current) in enumerate(itertools.pairwise((0, *labels))):
            z[position, previous, current] = 1
        found.append(z)
    return torch.stack(found)


def k_subsets(length: int, k: int) -> torch.Tensor:
    """All subsets of `k` positions, or of all if there are fewer, `(subsets, length)`."""
    chosen = itertools.combinations(range(length), min(k, length))
    return torch.stack(
        [torch.zeros(length, dtype=torch.double).index_fill(0, torch.tensor(c).long(), 1) for c in chosen]
    )


def totals(structures: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """What each structure is worth under the scores of one sentence; parts of score -inf may be left unused."""
    used = structures.flatten(1) > 0
    return torch.where(used, scores.double().flatten().expand_as(used), 0.0).sum(1)


def expectation(structures: torch.Tensor, log_weights: torch.Tensor) -> torch.Tensor:
    return torch.tensordot(log_weights.softmax(0), structures, 1)


def nearest_in_hull(vertices: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """
    The nearest point of the convex hull, by the least-distance problem of Lawson & Hanson (1974), chapter 23: the
    non-negative least-squares solution of `[vertices - point; 1] w = [0; 1]`, scaled to sum to 1.
    """
    columns = vertices.flatten(1).numpy()
    system = np.vstack([(columns - point.double().flatten().numpy()).T, np.ones(len(columns))])
    weights, _ = nnls(system, np.append(np.zeros(columns.shape[1]), 1.0), maxiter=100 * len(columns))
    return torch.from_numpy(weights / weights.sum() @ columns).view(point.shape)


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
