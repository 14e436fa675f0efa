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
