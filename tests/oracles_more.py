"""
What constituency trees, segmentations, alignments and matchings there are, by enumeration. Imports nothing from the
package under test.
"""

import itertools
from functools import cache

import torch


@cache
def bracketings(first: int, last: int) -> list[frozenset[tuple[int, int]]]:
    """The spans of all binary trees over the tokens from `first` to `last`."""
    if first == last:
        return [frozenset([(first, last)])]
    return [
        left | right | {(first, last)}
        for middle in range(first, last)
        for left, right in itertools.product(bracketings(first, middle), bracketings(middle + 1, last))
    ]


@cache
def constituency_trees(length: int, num_labels: int) -> torch.Tensor:
    """All binary trees with a label for each span, `(trees, length, length, labels)`, [first, last, label]."""
    found = []
    for spans in bracketings(0, length - 1):
        for labels in itertools.product(range(num_labels), repeat=len(spans)):
            z = torch.zeros(length, length, num_labels, dtype=torch.double)
            for (first, last), label in zip(sorted(spans), labels, strict=True):
                z[first, last, label] = 1
            found.append(z)
    return torch.stack(found)


@cache
def segmentations(length: int, max_width: int, num_labels: int) -> torch.Tensor:
    """All ways to cut into labelled segments, `(n, length, max_width, labels)`, [first, width - 1, label]."""
    found = []
    for cuts in itertools.product((False, True), repeat=length - 1):
        bounds = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), length]
        segments = [(first, end - first) for first, end in itertools.pairwise(bounds)]
        if max(width for _, width in segments) > max_width:
            continue
        for labels in itertools.product(range(num_labels), repeat=len(segments)):
            z = torch.zeros(length, max_width, num_labels, dtype=torch.double)
            for (first, width), label in zip(segments, labels, strict=True):
                z[first, width - 1, label] = 1
            found.append(z)
    return torch.stack(found)


@cache
def monotone_alignments(rows: int, columns: int) -> torch.Tensor:
    """All paths from the first cell to the last by steps right, down and both, `(paths, rows, columns)`."""
    paths = {(0, 0): [((0, 0),)]}
    for i, j in itertools.product(range(rows), range(columns)):
        if i or j:
            before = ((i - 1, j), (i, j - 1), (i - 1, j - 1))
            paths[i, j] = [(*path, (i, j)) for cell in before for path in paths.get(cell, [])]
    return _indicators(paths[rows - 1, columns - 1], rows, columns)


@cache
def matchings(rows: int, columns: int, complete: bool) -> torch.Tensor:
    """All matchings, `(matchings, rows, columns)`; if `complete`, those with as many pairs as there can be."""
    most = min(rows, columns)
    found = [
        tuple(zip(chosen, partners, strict=True))
        for size in range(most if complete else 0, most + 1)
        for chosen in itertools.combinations(range(rows), size)
        for partners in itertools.permutations(range(columns), size)
    ]
    return _indicators(found, rows, columns)


def _indicators(cells: list[tuple[tuple[int, int], ...]], rows: int, columns: int) -> torch.Tensor:
    z = torch.zeros(len(cells), rows, columns, dtype=torch.double)
    for i, chosen in enumerate(cells):
        for cell in chosen:
            z[(i, *cell)] = 1
    return z


def subsets_up_to(length: int, k: int) -> torch.Tensor:
    """All subsets of at most `k` positions, `(subsets, length)`."""
    chosen = torch.tensor(list(itertools.product((0.0, 1.0), repeat=length)), dtype=torch.double)
    return chosen[chosen.sum(1) <= k]
