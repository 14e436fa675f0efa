"""
The structures that all tests of structures and of surrogates are run over: to add one is to add a row here, and an
enumerator to `tests/oracles.py`.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import pytest
import torch
from allennlp.common import Params

from spigot_allennlp.structures import Structure
from tests import oracles

Enumerator = Callable[..., torch.Tensor]

# What a structure can do that writes its argmax alone, and what others can.
OF_ARGMAX = frozenset({"argmax", "project", "project_local"})
ALL = OF_ARGMAX | {"log_partition", "marginals"}


@dataclass(frozen=True, eq=False)
class Row:
    name: str
    #: how the structure is configured
    config: dict[str, Any]
    #: all structures, given the size of each kind of position
    enumerate: Enumerator
    #: the axes of one sentence's scores: kinds of positions by name, other sizes by number
    axes: tuple[str | int, ...]
    cells: str
    operations: frozenset[str] = ALL
    #: the length up to which its structures are listed
    length: int = 4
    #: whether position 0 is ROOT, which is never masked
    has_root: bool = False
    #: where an operation leaves out a rule, what it ranges over instead
    relaxed: dict[str, Enumerator] = field(default_factory=dict)
    #: names of projections beyond the two that every structure has
    more_polytopes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    def build(self) -> Structure:
        return Structure.from_params(Params(deepcopy(self.config)))

    def call(self, operation: str, scores: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return getattr(self.build(), operation)(scores, self.full_mask(scores) if mask is None else mask)

    @property
    def positions(self) -> list[str]:
        """The kinds of positions, which are the axes of a mask."""
        return list(dict.fromkeys(axis for axis in self.axes if isinstance(axis, str)))

    def structures(self, operation: str = "argmax", length: int | None = None) -> torch.Tensor:
        """All that an operation ranges over, in a sentence without padding."""
        sizes = [self.length if length is None else length] * len(self.positions)
        return listed(self.relaxed.get(operation, self.enumerate), *sizes)

    def random(self, seed: int, batch_size: int, length: int | None = None) -> torch.Tensor:
        """Scores, normal and float64."""
        length = self.length if length is None else length
        shape = (batch_size, *(length if isinstance(axis, str) else axis for axis in self.axes))
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)

    def full_mask(self, scores: torch.Tensor) -> torch.Tensor:
        sizes = dict(zip(self.axes, scores.shape[1:], strict=True))
        return torch.ones(len(scores), *(sizes[name] for name in self.positions), dtype=torch.bool)

    def every_mask(self, length: int) -> torch.Tensor:
        """One sentence for every way to mask its positions; ROOT stays."""
        bits = torch.cartesian_prod(*[torch.tensor([False, True])] * length * len(self.positions))
        bits = bits.view(-1, len(self.positions), length)
        if self.has_root:
            bits = bits[bits[:, :, 0].all(1)]
        # A position of several kinds is masked if it is of any. Shape: (masks, length, ...)
        mask = bits[:, 0]
        for other in bits[:, 1:].unbind(1):
            mask = mask.unsqueeze(-1) & other.view(len(other), *[1] * (mask.dim() - 1), length)
        return mask

    def crop(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Of one sentence's cells those that its mask leaves."""
        for axis, name in enumerate(self.axes):
            if isinstance(name, str):
                values = values.index_select(axis, self.left(mask)[name])
        return values

    def used(self, mask: torch.Tensor) -> torch.Tensor:
        """Which cells some structure uses, of one sentence with this mask."""
        left = self.left(mask)
        sizes = dict(zip(self.positions, mask.shape, strict=True))
        cells = torch.zeros([sizes.get(axis, axis) for axis in self.axes], dtype=torch.bool)
        index = torch.meshgrid(
            *(left.get(axis, torch.arange(sizes.get(axis, axis))) for axis in self.axes), indexing="ij"
        )
        cells[index] = listed(self.enumerate, *map(len, left.values())).amax(0) > 0
        return cells

    def left(self, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        others = [[a for a in range(mask.dim()) if a != axis] for axis in range(mask.dim())]
        kept = [mask.any(dim=dims) if dims else mask for dims in others]
        return {name: bits.nonzero().squeeze(1) for name, bits in zip(self.positions, kept, strict=True)}


@cache
def listed(enumerate: Enumerator, *sizes: int) -> torch.Tensor:
    return enumerate(*sizes)


def _heads(name: str, enumerate: Enumerator, single_root: bool | None = None) -> Row:
    return Row(
        name + (", single root" if single_root else ""),
        {"type": name} | ({} if single_root is None else {"single_root": single_root}),
        enumerate if single_root is None else partial(enumerate, single_root=single_root),
        ("length", "length"),
        "heads",
        length=5,
        has_root=True,
        relaxed={"project_local": oracles.single_heads},
    )


def _graph(rules: str, num_labels: int = 2, deterministic: tuple[int, ...] = (), **settings: Any) -> Row:
    anything = partial(oracles.graphs, num_labels=num_labels, **settings)
    return Row(
        f"semantic_graph, {rules}",
        {"type": "semantic_graph", "deterministic_labels": list(deterministic), **settings},
        partial(anything, deterministic=deterministic),
        ("length", "length", num_labels),
        "labelled arcs",
        length=3,
        has_root=True,
        relaxed=dict.fromkeys(["log_partition", "marginals", "project_local"], anything) if deterministic else {},
        more_polytopes=("arcs_then_labels",),
    )


def _chain(num_labels: int) -> Row:
    return Row(
        f"linear_chain, {num_labels} labels",
        {"type": "linear_chain"},
        partial(oracles.label_sequences, num_labels=num_labels),
        ("length", num_labels, num_labels),
        "label pairs",
        length=3,
        relaxed={"project_local": partial(oracles.label_pairs, num_labels=num_labels)},
    )


def _subset(k: int, exactly: bool = True) -> Row:
    return Row(
        f"k_subset, {'' if exactly else 'at most '}k={k}",
        {"type": "k_subset", "k": k, "exactly": exactly},
        partial(oracles.k_subsets if exactly else oracles.subsets_up_to, k=k),
        ("length",),
        "positions",
        length=5,
    )


def _constituency(length: int, num_labels: int) -> Row:
    return Row(
        f"constituency_tree, {num_labels} labels",
        {"type": "constituency_tree"},
        partial(oracles.constituency_trees, num_labels=num_labels),
        ("length", "length", num_labels),
        "labelled spans",
        length=length,
        relaxed={"project_local": partial(oracles.labelled_spans, num_labels=num_labels)},
    )


def _segmentation(max_width: int, num_labels: int) -> Row:
    sizes = {"max_width": max_width, "num_labels": num_labels}
    return Row(
        f"segmentation, {num_labels} labels, up to {max_width} wide",
        {"type": "segmentation"},
        partial(oracles.segmentations, **sizes),
        ("length", max_width, num_labels),
        "labelled segments",
        relaxed={"project_local": partial(oracles.labelled_segments, **sizes)},
    )


def _matching(complete: bool) -> Row:
    return Row(
        "matching" if complete else "matching, some alone",
        {"type": "matching", "complete": complete},
        partial(oracles.matchings, complete=complete),
        ("rows", "columns"),
        "pairs",
        OF_ARGMAX,
        length=3,
        relaxed={"project_local": partial(oracles.row_matchings, complete=complete)},
    )


def _few_modifiers(length: int) -> torch.Tensor:
    heads = oracles.single_heads(length)
    return heads[(heads.sum(1) <= 2).all(1)]


ROWS = [
    _heads("single_head", oracles.single_heads),
    _heads("nonprojective_tree", oracles.nonprojective_trees, False),
    _heads("nonprojective_tree", oracles.nonprojective_trees, True),
    _heads("projective_tree", oracles.projective_trees, False),
    _heads("projective_tree", oracles.projective_trees, True),
    _graph("free"),
    _graph("predicates", predicates=True),
    _graph("tops", 3, top_label=1),
    _graph("some deterministic", deterministic=(0,)),
    _graph("all deterministic", deterministic=(0, 1)),
    _graph("predicates and deterministic", deterministic=(0,), predicates=True),
    _graph("predicates and tops", 3, predicates=True, top_label=1),
    _graph("all rules", 3, deterministic=(0, 1), predicates=True, top_label=0),
    _chain(3),
    _chain(1),
    _subset(2),
    _subset(9),  # all of a short sentence
    _subset(2, exactly=False),
    _subset(9, exactly=False),
    _constituency(3, 2),
    _constituency(4, 1),
    _segmentation(3, 2),
    _segmentation(1, 3),
    _segmentation(7, 1),
    Row(
        "monotone_alignment",
        {"type": "monotone_alignment"},
        oracles.monotone_alignments,
        ("rows", "columns"),
        "alignments",
        length=3,
        relaxed={"project_local": oracles.row_alignments},
    ),
    _matching(complete=True),
    _matching(complete=False),
    Row(
        "constrained",
        {
            "type": "constrained",
            "structure": {"type": "single_head"},
            "rules": [{"type": "at_most", "count": 2, "per": [1]}],
        },
        _few_modifiers,
        ("length", "length"),
        "heads",
        OF_ARGMAX,
        has_root=True,
        relaxed={"project_local": oracles.single_heads},
    ),
    Row(
        "a user's own",
        {"type": "tests.structures.permutation.Permutation"},
        oracles.permutations,
        ("length", "length"),
        "places",
        OF_ARGMAX,
    ),
]

every_row = pytest.mark.parametrize("row", ROWS, ids=str)


def every_row_with(*operations: str) -> pytest.MarkDecorator:
    """A test of `row` and `operation`, once for each that a row has of these."""
    pairs = [(row, operation) for operation in operations for row in ROWS if operation in row.operations]
    return pytest.mark.parametrize("row, operation", pairs, ids=[f"{row}-{operation}" for row, operation in pairs])
