from typing import Optional

import numpy as np
from allennlp.common import Registrable
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.nn.linear_rules import LinearRules, cell_numbers

# Which cells: the index on each axis of a sentence's scores, with null for any.
Cells = list[Optional[int]]


class Rule(Registrable):
    """
    What the structures of a [`Constrained`](./constrained.md) structure have to obey, beside being structures: linear
    rules over the cells of a sentence.

    Where rules name cells, they do so by a list of indices, one for each axis of a sentence's scores (without the
    batch), `null` standing for any: `[3, 0]` in a dependency tree is the arc from ROOT to token 3, `[null, 0]` all arcs
    from ROOT, `[null, null, 7]` in a semantic graph all arcs with label 7.
    """

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """The rules of one sentence, of whose cells those stand for parts that are True in `parts`."""
        raise NotImplementedError


@Rule.register("required")
class Required(Rule):
    """
    Cells that every structure has. What is no cell of a sentence, because it is too short, is not asked of it.

    # Parameters

    cells : `list[list[int]]`
        With `null`, all of those meant are required.
    """

    def __init__(self, cells: list[Cells]) -> None:
        self.cells = cells

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        rules = LinearRules()
        for cells in self.cells:
            for number in cell_numbers(parts)[_meant(cells, parts)]:
                rules.add([number], lower=1)
        return rules


@Rule.register("forbidden")
class Forbidden(Rule):
    """
    Cells that no structure has.

    # Parameters

    cells : `list[list[int]]`
        With `null`, all of those meant are forbidden.
    """

    def __init__(self, cells: list[Cells]) -> None:
        self.cells = cells

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        rules = LinearRules()
        for cells in self.cells:
            rules.add(cell_numbers(parts)[_meant(cells, parts)], upper=0)
        return rules


class Count(Rule):
    """
    What rules share that count cells. Not registered.

    # Parameters

    count : `int`
        The bound, not negative.
    cells : `list[int]`, optional (default = `None`)
        Which cells are counted; all, unless it is given.
    per : `list[int]`, optional (default = `None`)
        The axes along which each index has a count of its own: with `[0]` in a semantic graph, each predicate. Without,
        the whole sentence has one.
    """

    def __init__(self, count: int, cells: Optional[Cells] = None, per: Optional[list[int]] = None) -> None:
        if count < 0:
            raise ConfigurationError(f"count must not be negative, but is {count}")
        self.count = count
        self.cells = cells
        self.per = per or []

    def groups(self, parts: np.ndarray) -> list[np.ndarray]:
        """The numbers of the cells that are counted together, where there are any."""
        if not all(0 <= axis < parts.ndim for axis in self.per):
            raise ValueError(f"expected axes below {parts.ndim} to count by, found {self.per}")
        counted = _meant(self.cells or [None] * parts.ndim, parts)
        index = np.stack(np.nonzero(counted), 1)[:, self.per]
        _, group = np.unique(index, axis=0, return_inverse=True)
        numbers = cell_numbers(parts)[counted]
        return [numbers[group.reshape(-1) == g] for g in range(group.max(initial=-1) + 1)]


@Rule.register("at_most")
class AtMost(Count):
    """
    No more than `count` cells: `{ "type": "at_most", "count": 1, "cells": [null, null, 7], "per": [0] }` in a semantic
    graph, where 7 is the label of subjects, lets a predicate have one subject at most.
    Parameters are those of [`Count`](#count).
    """

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        rules = LinearRules()
        for cells in self.groups(parts):
            rules.add(cells, upper=self.count)
        return rules


@Rule.register("at_least")
class AtLeast(Count):
    """
    No fewer than `count` cells, or as many as there are if these are fewer. Parameters are those of [`Count`](#count).
    """

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        rules = LinearRules()
        for cells in self.groups(parts):
            rules.add(cells, lower=min(self.count, len(cells)))
        return rules


def _meant(cells: Cells, parts: np.ndarray) -> np.ndarray:
    """Which of the `parts` of a sentence are meant, bool."""
    if len(cells) != parts.ndim:
        raise ValueError(f"expected one index for each of {parts.ndim} axes of a sentence's cells, found {cells}")
    meant = np.zeros_like(parts)
    if all(index is None or 0 <= index < size for index, size in zip(cells, parts.shape, strict=True)):
        where = tuple(slice(None) if index is None else index for index in cells)
        meant[where] = parts[where]
    return meant
