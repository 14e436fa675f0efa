import itertools
from collections.abc import Iterator

import numpy as np
import torch

from spigot_allennlp.nn.arcs import FORBIDDEN, check_arc_shapes, finite_arc_scores
from spigot_allennlp.nn.decoding import decode_on_host, k_best_on_host, one_hot, sample_on_host
from spigot_allennlp.nn.errors import check_totals
from spigot_allennlp.nn.linear_rules import LinearRules, cell_numbers
from spigot_allennlp.nn.partition import (
    Summation,
    log_partition,
    log_partition_and_marginals,
    sum_on_host,
)
from spigot_allennlp.nn.projective_hull import project_onto_projective_trees
from spigot_allennlp.nn.shapes import BestTotals, Mask, Totals
from spigot_allennlp.structures.heads import Best, DependencyTree, Samples, Scores
from spigot_allennlp.structures.structure import Structure


@Structure.register("projective_tree")
class ProjectiveTree(DependencyTree):
    """
    Dependency trees in which no two arcs cross, and none passes over ROOT, which stands leftmost. For `scores` see
    [`Heads`](./heads.md).

    Registered as a `Structure` with name "projective_tree". Parameters are those of
    [`DependencyTree`](./heads.md#dependencytree).
    """

    def argmax(self, scores: Scores, mask: Mask) -> Scores:
        """
        By the algorithm of [Eisner, 1996](https://aclanthology.org/C96-1058/), in `O(length^3)` time and `O(length^2)`
        memory, serially on the CPU in float64. Of several best trees, any one.
        """
        from spigot_allennlp.nn.kernels.eisner import maximum_projective_trees

        return decode_on_host(maximum_projective_trees, scores, mask, self.single_root)

    def log_partition(self, scores: Scores, mask: Mask) -> Totals:
        """
        By the inside algorithm over the spans of [Eisner, 1996](https://aclanthology.org/C96-1058/). `O(length^3)`
        time, computed in float64 with an exponent for each sum, so that it holds however far scores spread, up to the
        bound that all sums have. Differentiable any number of times.

        It is compiled and serial, on the CPU, with `O(length^2)` memory. Derivatives beyond the first one of the
        marginals are by torch operations, in `O(length^3)` memory.
        """
        check_arc_shapes(scores, mask)
        return log_partition(_SUMMATION, scores, mask, self.single_root)

    def marginals(self, scores: Scores, mask: Mask) -> Scores:
        """The gradient of `log_partition`. Differentiable, and twice too, though the second time takes longer."""
        return self.log_partition_and_marginals(scores, mask)[1]

    def log_partition_and_marginals(self, scores: Scores, mask: Mask) -> tuple[Totals, Scores]:
        check_arc_shapes(scores, mask)
        return log_partition_and_marginals(_SUMMATION, scores, mask, self.single_root)

    def sample(
        self, scores: Scores, mask: Mask, num_samples: int = 1, generator: torch.Generator | None = None
    ) -> Samples:
        """From the top down, by the sums over all spans; `O(length^3)`, and a few `length` for each sample."""
        from spigot_allennlp.nn.kernels.sample_projective import sample_projective_trees

        check_arc_shapes(scores, mask)
        kernel = sample_projective_trees
        heads = sample_on_host(kernel, scores, mask, self.single_root, num_samples=num_samples, generator=generator)
        return one_hot(heads, like=scores)

    def top_k(self, scores: Scores, mask: Mask, k: int) -> tuple[Best, BestTotals]:
        """
        From the top down, best first, by the chart of `argmax`. That is as if [Huang & Chiang,
        2005](https://aclanthology.org/W05-1506/), algorithm 3, knew beforehand what a choice is worth.
        """
        from spigot_allennlp.nn.kernels.k_best_eisner import k_best_projective_trees

        check_arc_shapes(scores, mask)
        heads, totals = k_best_on_host(k_best_projective_trees, scores, mask, self.single_root, k=k)
        return one_hot(heads, like=scores), totals

    def project(self, point: Scores, mask: Mask) -> Scores:
        """By an active set around Eisner's algorithm: see [`nn/projective_hull.py`](../nn/projective_hull.md)."""
        return project_onto_projective_trees(point, mask, self.single_root)

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """There is a derivation by the items of [`maximum_projective_trees`](../nn/kernels/eisner.md)."""
        rules = super().linear_rules(parts)
        cells = cell_numbers(parts)
        tokens = [0, *parts.any(1).nonzero()[0]]
        arcs = {
            (kind, i, j): [cells[pair]] if parts[pair] else []
            for i, j in itertools.combinations(range(len(tokens)), 2)
            for kind, pair in (("right_open", (tokens[j], tokens[i])), ("left_open", (tokens[i], tokens[j])))
        }
        # What is about to get an arc gets it one way or the other.
        both = {("both", i, j): arcs["right_open", i, j] + arcs["left_open", i, j] for _, i, j in arcs}
        rules.add_derivation(_edges(len(tokens)), arcs | both, ("right", 0, len(tokens) - 1))
        return rules

    def best_under(self, rules: LinearRules, scores: np.ndarray, parts: np.ndarray) -> np.ndarray | None:
        """By [`column_generation`](../nn/column_generation.md) over Eisner's algorithm."""
        from spigot_allennlp.nn.column_generation import best_under

        mask = torch.from_numpy(parts.any(1))[None]

        def argmax(values: np.ndarray) -> np.ndarray | None:
            try:
                return self.argmax(torch.from_numpy(values)[None], mask)[0].numpy()
            except ValueError:
                return None

        return best_under(rules, scores, argmax)


def _edges(size: int) -> Iterator[tuple[tuple[str, int, int], tuple[tuple[str, int, int], ...]]]:
    """Of what each span of Eisner's can be made, where single positions are there in any case."""
    for i, j in itertools.combinations(range(size), 2):
        for k in range(i, j):
            halves = [("right", i, k)] * (i < k) + [("left", k + 1, j)] * (k + 1 < j)
            yield ("both", i, j), tuple(halves)
            halves = [("right_open", i, k + 1)] + [("right", k + 1, j)] * (k + 1 < j)
            yield ("right", i, j), tuple(halves)
            if i > 0:
                halves = [("left", i, k)] * (i < k) + [("left_open", k, j)]
                yield ("left", i, j), tuple(halves)


def _sum_over_projective_trees(
    scores: torch.Tensor,
    mask: torch.Tensor,
    single_root: bool,
    direction: torch.Tensor | None = None,
    with_marginals: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    from spigot_allennlp.nn.kernels.inside_outside import sum_over_projective_trees

    return sum_on_host(
        sum_over_projective_trees, scores, mask, single_root, direction=direction, with_marginals=with_marginals
    )


def _sum_in_log_space(scores: torch.Tensor, mask: torch.Tensor, single_root: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """`log Z` and the marginals, with gradients if scores need one."""
    create_graph = scores.requires_grad
    with torch.enable_grad():
        scores = scores if create_graph else scores.detach().requires_grad_()
        log_z = _inside(scores, mask, single_root)
        (marginals,) = torch.autograd.grad(log_z.sum(), scores, create_graph=create_graph)
    return log_z.detach(), marginals


def _inside(scores: torch.Tensor, mask: torch.Tensor, single_root: bool) -> torch.Tensor:
    """The recurrences of [`maximum_projective_trees`](./kernels/eisner.md), with sums in place of maxima."""
    batch_size, length = mask.shape
    rows = torch.arange(batch_size, device=mask.device)
    present = mask | (torch.arange(length, device=mask.device) == 0)
    # Positions that are present first, padding after them.
    order = present.int().argsort(dim=1, descending=True, stable=True)
    # Shape: (batch_size, length, length)
    arc = finite_arc_scores(scores, mask)[rows.view(-1, 1, 1), order.unsqueeze(2), order.unsqueeze(1)]
    # Shape: (batch_size,)
    last = present.sum(1) - 1

    # Charts over spans, by width and first position, or by width and last position.
    # Shape: (batch_size, length, length)
    charts = [torch.full_like(arc, FORBIDDEN) for _ in range(6)]
    right_by_first, right_by_last, left_by_first, left_by_last, right_open_by_first, left_open_by_last = charts
    for chart in charts[:4]:
        chart[:, 0] = 0
    for width in range(1, length):
        spans = length - width
        # Shape: (batch_size, spans)
        both = (right_by_first[:, :width, :spans] + left_by_last[:, :width, width:].flip(1)).logsumexp(1)
        right_open_by_first[:, width, :spans] = both + arc.diagonal(-width, 1, 2)
        left_open_by_last[:, width, width:] = both + arc.diagonal(width, 1, 2)
        # Shape: (batch_size, width, spans)
        right = right_open_by_first[:, 1 : width + 1, :spans] + right_by_last[:, :width, width:].flip(1)
        left = left_by_first[:, :width, :spans] + left_open_by_last[:, 1 : width + 1, width:].flip(1)
        right_by_first[:, width, :spans] = right_by_last[:, width, width:] = right.logsumexp(1)
        left_by_first[:, width, :spans] = left_by_last[:, width, width:] = left.logsumexp(1)
    log_z = right_by_first[rows, last, 0]
    if single_root and length > 1:
        # By the width of the span to the left of ROOT's child. Shape: (batch_size, length - 1)
        width = torch.arange(length - 1, device=mask.device)
        rest = last.unsqueeze(1) - 1 - width
        right = right_by_last[rows.unsqueeze(1), rest.clamp(min=0), last.unsqueeze(1)].where(rest >= 0, FORBIDDEN)
        log_z = (left_by_first[:, :-1, 1] + arc[:, 1:, 0] + right).logsumexp(1).where(last > 0, log_z)
    check_totals(log_z, length)
    return log_z + arc[:, 0, 0] * 0


_SUMMATION = Summation(_sum_over_projective_trees, _sum_in_log_space)
