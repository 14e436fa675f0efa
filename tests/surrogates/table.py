"""
The surrogates that all tests of surrogates are run over, crossed with every row of the table of structures that can
carry them: to add one is to add a row here.

A row says what the documentation does, in terms of a structure alone: `scores` have no gradient, `step` is the step
size times the clipped gradient of what went forward (the gradient itself where there is no step size to set), and
there is no noise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates import StructuredArgmax
from tests import ALL_TESTS
from tests.structures.table import ROWS, Row

Forward = Callable[[Structure, torch.Tensor, torch.Tensor], torch.Tensor]
Backward = Callable[[Structure, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def best(structure: Structure, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return structure.argmax(scores, mask)


def expected(structure: Structure, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return structure.marginals(scores, mask)


def nearest(structure: Structure, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return structure.project(scores, mask)


def pulled_to(polytope: str, start: Forward) -> Backward:
    """`start - project(start - step)`"""

    def backward(structure: Structure, scores: torch.Tensor, step: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        point = start(structure, scores, mask)
        return point - structure.polytopes()[polytope](point - step, mask)

    return backward


def moved(what: Forward) -> Backward:
    """`what(scores) - what(scores - step)`"""

    def backward(structure: Structure, scores: torch.Tensor, step: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return what(structure, scores, mask) - what(structure, scores - step, mask)

    return backward


def moved_as_far_as_the_scores(
    structure: Structure, scores: torch.Tensor, step: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """`(best(scores) - best(scores - reach * step)) / reach`, where `reach * step` is as long as the scores."""
    values = scores.where(structure.parts(scores, mask), 0.0)
    reach = torch.stack([s.norm() / g.norm() for s, g in zip(values, step, strict=True)])
    reach = reach.nan_to_num(0, posinf=0).view(-1, *[1] * (scores.dim() - 1))
    difference = best(structure, scores, mask) - best(structure, scores - reach * step, mask)
    return (difference / reach).where(reach > 0, 0.0)


@dataclass(frozen=True, eq=False)
class Surrogate:
    type: str
    #: what goes forward
    forward: Forward = best
    #: what comes back, of a rule; `None` for the derivative of what goes forward
    backward: Backward | None = None
    needs: frozenset[str] = frozenset({"argmax"})
    #: the settings that are tested, beside those of the rule
    settings: dict[str, Any] = field(default_factory=dict)
    polytope: str | None = None
    #: whether a step size is among the settings
    steps: bool = True
    #: whether what comes back is divided by the step size
    per_step: bool = False
    #: whether what goes forward is a mixture of structures
    mixes: bool = False
    #: the surrogate inside this one
    inner: "Surrogate | None" = None

    def __str__(self) -> str:
        inner = f"({self.inner})" if self.inner else ""
        polytope = f", {self.polytope}" if self.polytope else ""
        relaxed = ", relaxed" if self.settings.get("relaxed") else ""
        return self.type + inner + polytope + relaxed

    def build(self, structure: Structure, **settings: Any) -> StructuredArgmax:
        """Without noise, unless settings say so."""
        if self.inner:
            noise = {"noise_scale": settings.pop("noise_scale", 0.0)}
            return StructuredArgmax.by_name(self.type)(self.inner.build(structure, **settings), **noise)
        polytope = {"polytope": self.polytope} if self.polytope else {}
        return StructuredArgmax.by_name(self.type)(structure, **(self.settings | polytope | settings))

    def fits(self, row: Row) -> bool:
        return self.needs <= row.operations and self.polytope in (None, "local", "exact", *row.more_polytopes)


def _with(*operations: str) -> frozenset[str]:
    return frozenset({"argmax", *operations})


def _spigots(polytope: str) -> list[Surrogate]:
    on_the_way = {"needs": _with("marginals"), "polytope": polytope}
    return [
        Surrogate("spigot", best, pulled_to(polytope, best), polytope=polytope),
        Surrogate("spigot_ce", best, pulled_to(polytope, expected), **on_the_way),
    ]


RELAXED = {"relaxed": True}
SURROGATES = [
    Surrogate("pipeline", best, lambda structure, scores, step, mask: torch.zeros_like(step), steps=False),
    Surrogate("straight_through", best, lambda structure, scores, step, mask: step),
    Surrogate("identity", best, lambda structure, scores, step, mask: step, settings={"projection": "none"}),
    *_spigots("local"),
    *_spigots("exact"),
    *_spigots("arcs_then_labels"),
    Surrogate("spigot_ce", expected, pulled_to("local", expected), _with("marginals"), RELAXED, mixes=True),
    Surrogate("spigot_eg", best, moved(expected), _with("marginals")),
    Surrogate("spigot_eg", expected, moved(expected), _with("marginals"), RELAXED, mixes=True),
    Surrogate("imle", best, moved(best), settings={"noise_scale": 0.0}),
    Surrogate("blackbox", best, moved(best), per_step=True),
    Surrogate(
        "adaptive_imle",
        best,
        moved_as_far_as_the_scores,
        settings={"noise_scale": 0.0, "beta_step": 0.0},
        steps=False,
    ),
    Surrogate("structured_attention", expected, None, _with("marginals"), steps=False, mixes=True),
    Surrogate("sparsemap", nearest, None, _with("project"), steps=False, mixes=True),
]
SURROGATES += [
    Surrogate("perturb_and_map", s.forward, s.backward, s.needs, s.settings, steps=s.steps, mixes=s.mixes, inner=s)
    for s in SURROGATES
    if (s.type, s.polytope) in [("spigot", "local"), ("structured_attention", None)]
]


def _partners() -> Iterator[tuple[Surrogate, Row]]:
    """
    Every surrogate with every structure that can carry it or, where not all tests run, with the trees of the shipped
    configs and a quarter of the others in turn.
    """
    for i, surrogate in enumerate(SURROGATES):
        rows = [row for row in ROWS if surrogate.fits(row)]
        for j, row in enumerate(rows):
            if ALL_TESTS or j % 4 == i % 4 or len(rows) < 4 or str(row) == "nonprojective_tree, single root":
                yield surrogate, row


PAIRS = list(_partners())


def pairs(condition: Callable[[Surrogate, Row], bool] = lambda surrogate, row: True) -> pytest.MarkDecorator:
    """A test of `surrogate` and `row`, once for each pair that goes together and fulfils a condition."""
    chosen = [pair for pair in PAIRS if condition(*pair)]
    return pytest.mark.parametrize("surrogate, row", chosen, ids=[f"{surrogate}-{row}" for surrogate, row in chosen])


every_pair = pairs()
every_surrogate = pytest.mark.parametrize("surrogate", SURROGATES, ids=str)


def masks(row: Row) -> torch.Tensor:
    """Of three sentences over 6 positions: whole, a single one, and four of them."""
    mask = row.full_mask(row.random(0, 3, 6))
    mask[1, 1:] = mask[2, 4:] = False
    return mask


def pull(
    layer: StructuredArgmax, scores: torch.Tensor, d_z: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer's output, and what it gives back for `d_z`, where the same noise falls each time."""
    torch.default_generator.manual_seed(0)  # torch.manual_seed is slow without a GPU
    scores = scores.detach().requires_grad_()
    z = layer(scores, mask)
    return z.detach(), torch.autograd.grad(z, scores, d_z)[0] if z.requires_grad else torch.zeros_like(scores)
