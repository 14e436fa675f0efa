from collections.abc import Callable
from typing import Any, Optional

import numpy as np
import torch
from allennlp.common.checks import ConfigurationError
from torch.nn.functional import pad

from spigot_allennlp.nn.decoding import one_hot
from spigot_allennlp.nn.errors import check_count, check_scores, check_shapes, not_a_score
from spigot_allennlp.nn.graph_cells import best_allowed_labels, best_scores, possible_arcs, with_predicates
from spigot_allennlp.nn.k_best import k_best_sums
from spigot_allennlp.nn.label_assignment import (
    assign_labels,
    k_best_labels,
    label_indicators,
    project_onto_label_assignments,
)
from spigot_allennlp.nn.label_simplices import (
    project_arcs_then_labels,
    project_onto_label_simplices,
    project_onto_switched_label_simplices,
)
from spigot_allennlp.nn.linear_rules import LinearRules, cell_numbers
from spigot_allennlp.nn.log_add import log_add
from spigot_allennlp.nn.sampling import draw_options, draw_uniform
from spigot_allennlp.nn.shapes import BestTotals, Bool, Float, Int, Mask, Tensor, Totals
from spigot_allennlp.structures.structure import Structure, project_onto_hull_of

Scores = Float[Tensor, "batch length length labels"]
Parts = Bool[Tensor, "batch length length labels"]
Samples = Float[Tensor, "samples batch length length labels"]
Best = Float[Tensor, "k batch length length labels"]
Labels = Int[Tensor, "batch length length"]


@Structure.register("semantic_graph")
class SemanticGraph(Structure):
    """
    A labelled semantic dependency graph in which every predicate chooses its arguments alone. `scores` is
    `(batch, length, length, labels)`, indexed `[b, predicate, argument, label]`, the worth of a labelled arc. ROOT, at
    position 0, is a predicate whose arguments are the graph's tops, and never an argument. There are no self-loops, and
    at most one label per pair. The cell `[b, predicate, 0, 0]`, which no argument uses, is the predicate's own part.

    This is the basic model of NeurboParser ([Peng, Thomson & Smith, 2017](https://aclanthology.org/P17-1186/), section
    2), with the determinism rule of [Flanigan et al. (2014)](https://aclanthology.org/P14-1134/) solved exactly.
    `argmax`, `top_k` and `project` keep this rule. The distribution, where it is intractable (a sum over matchings,
    that is a permanent), and the relaxations leave it out.

    Registered as a `Structure` with name "semantic_graph".

    # Parameters

    predicates : `bool`, optional (default = `False`)
        Whether predicates are parts: one that is on earns its own score, and only then it may have arcs. Otherwise
        every arc decides alone, and their cells are not looked at.
    top_label : `int`, optional (default = `None`)
        The label of tops. Arguments of ROOT have no other label then, and no other arguments have this one.
    deterministic_labels : `list[int]`, optional (default = `None`)
        Labels that a predicate may use only once.

    What is `None` here, a semantic parser fills in by [`bind`](#bind), from its vocabulary.
    """

    cells = "labelled arcs"

    def __init__(
        self,
        predicates: Optional[bool] = None,
        top_label: Optional[int] = None,
        deterministic_labels: Optional[list[int]] = None,
    ) -> None:
        self.predicates = predicates
        self.top_label = top_label
        self.deterministic_labels = deterministic_labels

    def bind(self, **settings: Any) -> None:
        """
        Fills in the parameters that were not given.

        # Raises

        `ConfigurationError` for one that was, and differs.
        """
        for name, value in settings.items():
            given = getattr(self, name)
            if given is not None and given != value:
                raise ConfigurationError(f"expected {name} of the semantic_graph to be {value}, found {given}")
            setattr(self, name, value)

    def argmax(self, scores: Scores, mask: Mask) -> Scores:
        """
        A predicate that is on earns its own score and those of its labelled arcs; one that is off has no arcs and earns
        0. Without further rules the best graph therefore takes every arc whose best label has a positive score, and
        switches a predicate on where its own score plus the sum of these is positive. Parts worth exactly 0 are off.

        Choosing labels of which some are deterministic is a linear assignment between the predicate's arguments and its
        labels. It is solved exactly, by shortest augmenting paths, and only for predicates where the choice above
        breaks the rule.
        """
        labels, is_on = self._decide(scores, mask)
        z = label_indicators(labels.clamp(min=0), labels >= 0, like=scores)
        if self.predicates:
            z[:, :, 0, 0] = is_on.to(z.dtype)
        return z

    def best_labels(self, scores: Scores, mask: Mask) -> Labels:
        """The arcs of `argmax` at a fraction of its memory: `(batch, length, length)`, their labels, -1 for no arc."""
        return self._decide(scores, mask)[0]

    def labels_of(self, graph: Scores) -> Labels:
        """Of a graph, 0/1 and like scores, what `best_labels` returns."""
        weight, label = graph.max(dim=3)
        label = label.where(weight > 0, -1)
        label[:, :, 0] = -1
        return label

    def log_partition(self, scores: Scores, mask: Mask) -> Totals:
        """
        Predicates and arcs factorise, so with `t = sum_a log(1 + sum_l exp s)` a predicate adds `t`, or
        `log(1 + exp(own score + t))` where it is a part; on and without arcs counts as a structure of its own.
        """
        _, on = self._log_linear_parts(scores, mask)
        log_partition = log_add(on, torch.zeros_like(on)) if self.predicates else on
        return log_partition.sum(1).to(scores.dtype)

    def marginals(self, scores: Scores, mask: Mask) -> Scores:
        """
        In closed form: a softmax over "no arc" and the labels, times the probability that the predicate is on.
        """
        options, on = self._log_linear_parts(scores, mask)
        marginals = options.softmax(3)[..., 1:]
        if self.predicates:
            is_on = on.sigmoid().to(options)
            marginals = marginals * is_on[:, :, None, None]
            marginals = with_predicates(is_on, marginals)
        return marginals.to(scores.dtype)

    def sample(
        self, scores: Scores, mask: Mask, num_samples: int = 1, generator: torch.Generator | None = None
    ) -> Samples:
        """Predicate by predicate and arc by arc, without the rule for deterministic labels, as `log_partition` is."""
        check_count("num_samples", num_samples)
        options, on = self._log_linear_parts(scores.detach().double(), mask)
        label = draw_options(options, num_samples, generator) - 1
        uniform = draw_uniform(num_samples, *on.shape, like=on, generator=generator)
        return self._indicators(label, uniform < on.sigmoid() if self.predicates else uniform >= 0, scores)

    def top_k(self, scores: Scores, mask: Mask, k: int) -> tuple[Best, BestTotals]:
        """
        With the rule for deterministic labels. Each predicate's best ways to have arcs are those of pairs of arguments,
        then of pairs of pairs, and so on; where some break the rule, they are found as [Murty,
        1968](https://doi.org/10.1287/opre.16.3.682), on the CPU. The best ways of predicates are joined likewise.
        """
        check_count("k", k)
        values = scores.detach().double()
        options, _ = self._log_linear_parts(values, mask)
        # Shape: (batch, predicates, k) and (batch, predicates, k, arguments), -1 for no arc
        totals, option = k_best_sums(options, k)
        label = option - 1
        if self.deterministic_labels:
            is_deterministic = self._is_deterministic(scores)
            uses = option.new_zeros((*totals.shape, options.size(3))).scatter_add_(3, option, torch.ones_like(option))
            broken = ((uses[..., 1:] > 1) & is_deterministic & (totals > -torch.inf).unsqueeze(3)).flatten(2).any(2)
            rows = options[broken][..., 1:]
            label[broken], totals[broken] = k_best_labels(rows, (rows > -torch.inf).any(2), is_deterministic, k)
        if self.predicates:
            # To be off is one more way, the last.
            totals = pad(totals + values[:, :, 0, :1].masked_fill(~mask.unsqueeze(2), -torch.inf), (0, 1))
            label = pad(label, (0, 0, 0, 1), value=-1)
        totals, way = k_best_sums(totals, k)
        way = way.transpose(1, 2)
        label = label.gather(2, way.unsqueeze(3).expand(*way.shape, label.size(3)))
        is_on = (way < k) & (totals > -torch.inf).unsqueeze(1)
        return self._indicators(label.movedim(2, 0), is_on.movedim(2, 0), scores), totals.t().to(scores.dtype)

    def _indicators(self, label: torch.Tensor, is_on: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Graphs, `(ways, *scores.shape)`, of labels, -1 for none, whose predicates are on, `(ways, batch, length)`."""
        z = one_hot(label.masked_fill(~is_on.unsqueeze(3), -1), like=scores)
        if self.predicates:
            z[..., 0, 0] = is_on.to(z.dtype)
        return z

    def project(self, point: Scores, mask: Mask) -> Scores:
        """
        Without deterministic labels, `project_local` is exact. With them it is too for every predicate whose
        deterministic labels then have weights that are small enough in sum; the others' hulls of label assignments are
        projected onto one by one.
        """
        self._checked_best_scores(point.detach(), mask)
        projection = self.project_local(point, mask)
        if not self.deterministic_labels:
            return projection
        is_deterministic = self._is_deterministic(point)
        # Shape: (batch, length, 1)
        bound = projection[:, :, 0, :1] if self.predicates else 1
        broken = ((projection[:, :, 1:].sum(2) > bound) & is_deterministic).any(2)
        if broken.any():
            rows, possible = point[broken], self._possible(point, mask).expand_as(point)[broken]
            rows = rows.masked_fill(~possible, -torch.inf)
            if self.predicates:
                rows = with_predicates(point[broken][:, 0, 0], rows)
                nearest = project_onto_hull_of(self._best_of_one_predicate, rows, possible.any(2))
            else:
                nearest = project_onto_label_assignments(rows, possible.any(2), is_deterministic)
            projection = projection.clone()
            projection[broken] = nearest
        return projection

    def project_local(self, point: Scores, mask: Mask) -> Scores:
        """
        Per pair, the nearest label weights `z >= 0` with `sum_l z` at most 1 or, where predicates are parts, at most
        the weight of the predicate.
        """
        possible = self._possible(point, mask)
        if not self.predicates:
            return project_onto_label_simplices(point, possible)
        is_on = mask & (point[:, :, 0, 0] > -torch.inf)
        switch = point[:, :, 0, 0].masked_fill(~is_on, -1.0)
        switch, labels = project_onto_switched_label_simplices(switch, point, possible & is_on[:, :, None, None])
        return with_predicates(switch.where(is_on, 0.0), labels)

    def project_arcs_then_labels(self, point: Scores, mask: Mask) -> Scores:
        """
        Per pair, the sum of the labels clipped to `[0, 1]`, then the nearest label weights with that sum; predicates
        are clipped. It resembles the relaxation in the program released with
        [SPIGOT](https://aclanthology.org/P18-1173/), which however clips the weight of an arc that is a part of its
        own, so that an arc that is off never moves its labels.
        """
        projection = project_arcs_then_labels(point, self._possible(point, mask))
        if self.predicates:
            projection = with_predicates(point[:, :, 0, 0].clamp(0, 1).where(mask, 0.0), projection)
        return projection

    def polytopes(self) -> dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]:
        return {**super().polytopes(), "arcs_then_labels": self.project_arcs_then_labels}

    def parts(self, scores: Scores, mask: Mask) -> Parts:
        parts = self._possible(scores, mask).expand_as(scores)
        if self.predicates:
            parts = parts.clone()
            parts[:, :, 0, 0] = mask
        return parts

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """One label at most for a pair, and none where the predicate is off; deterministic labels once a predicate."""
        rules = LinearRules()
        cells = cell_numbers(parts)
        for predicate in range(len(parts)):
            own = [cells[predicate, 0, 0]] if self.predicates else []
            for argument in range(1, len(parts)):
                labels = cells[predicate, argument][parts[predicate, argument]]
                if len(labels):
                    rules.add(labels, upper=0 if self.predicates else 1, minus=own)
            for label in self.deterministic_labels or ():
                rules.add(cells[predicate, 1:, label][parts[predicate, 1:, label]], upper=1)
        return rules

    def allowed_labels(self, length: int, num_labels: int) -> torch.Tensor:
        """Which labels the arguments of each predicate may have, `(length, num_labels)` bool, or `(1, 1)` for any."""
        if self.top_label is None:
            return torch.ones(1, 1, dtype=torch.bool)
        is_top = torch.arange(num_labels) == self.top_label
        is_root = torch.arange(length) == 0
        return is_top == is_root.unsqueeze(1)

    def _possible(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Which cells may have an arc, bool, to be broadcast to the shape of `scores`, which is checked."""
        check_shapes(scores, mask, "batch", "length", "length", "labels", has_root=True)
        allowed = self.allowed_labels(mask.size(1), scores.size(3)).to(mask.device)
        return possible_arcs(mask).unsqueeze(3) & allowed.unsqueeze(1)

    def _is_deterministic(self, scores: torch.Tensor) -> torch.Tensor:
        """`(labels,)` bool, where `scores` is `(..., labels)`."""
        num_labels = scores.size(-1)
        if max(self.deterministic_labels) >= num_labels:
            raise ValueError(
                f"expected deterministic_labels below {num_labels}, found {max(self.deterministic_labels)}"
            )
        labels = torch.tensor(self.deterministic_labels, device=scores.device)
        return torch.zeros(num_labels, dtype=torch.bool, device=scores.device).index_fill(0, labels, True)

    def _decide(self, scores: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What `best_labels` returns, and which predicates are on, `(batch, length)` bool."""
        scores = scores.detach()
        # What each arc adds, where it is on. Shape: (batch, length, length)
        worth = self._checked_best_scores(scores, mask).clamp(min=0).double()
        # Shape: (batch, length)
        is_on = self._is_worth_having(worth, scores, mask)
        arcs = (worth > 0) & is_on.unsqueeze(2)
        allowed = self.allowed_labels(*scores.shape[2:]).to(scores.device).expand(scores.shape[2:])
        label = best_allowed_labels(scores, arcs, allowed)

        if self.deterministic_labels:
            is_deterministic = self._is_deterministic(scores)
            # How often a predicate uses a label. Shape: (batch, length, labels)
            uses = torch.zeros_like(scores[:, :, 0], dtype=torch.long).scatter_add_(2, label, arcs.long())
            broken = ((uses > 1) & is_deterministic).any(2)
            if broken.any():
                rows = scores[broken].masked_fill(~allowed[broken.nonzero()[:, 1]].unsqueeze(1), -torch.inf)
                label[broken], worth[broken] = assign_labels(rows, arcs[broken], is_deterministic)
                is_on = is_on & self._is_worth_having(worth, scores, mask)
                arcs = (worth > 0) & is_on.unsqueeze(2)
        return label.where(arcs, -1), is_on

    def _best_of_one_predicate(self, scores: torch.Tensor, possible: torch.Tensor) -> torch.Tensor:
        """The best parts of single predicates, `(predicates, arguments, labels)`, with their own in `[p, 0, 0]`."""
        label, worth = assign_labels(scores, possible, self._is_deterministic(scores))
        is_on = worth.sum(1) + scores[:, 0, 0] > 0
        z = label_indicators(label, (worth > 0) & is_on.unsqueeze(1), like=scores)
        z[:, 0, 0] = is_on.to(z.dtype)
        return z

    def _log_linear_parts(self, scores: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        The scores of "no arc" (label 0, worth 0) and of the labels, `(batch, length, length, 1 + labels)`, and the
        log-sum of each predicate that is on, `(batch, length)`; for padding that is -inf or, without predicates, 0.
        """
        best = self._checked_best_scores(scores.detach(), mask)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        options = pad(scores.masked_fill(~self._possible(scores, mask), -torch.inf), (1, 0))
        # What is large is summed in float64, and only there.
        top = best.clamp(min=0).to(scores)
        on = top.double().sum(2) + (options - top.unsqueeze(3)).logsumexp(3).sum(2)
        if self.predicates:
            own = scores[:, :, 0, 0].masked_fill(~mask, -torch.inf).double()
            for to_be_summed in (best, own.detach()):
                check_scores(to_be_summed, to_be_summed=True)
            on = on + own
        return options, on

    def _checked_best_scores(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        The score of every pair's best label, -inf where no arc may be, once wrong shapes, NaN and +inf are ruled out.
        """
        check_shapes(scores, mask, "batch", "length", "length", "labels", has_root=True)
        best = best_scores(scores, mask, self.top_label)
        # A maximum over something with NaN is NaN, which is not less than infinity either.
        unusable = ~(best < torch.inf).flatten(1).all(1)
        if self.predicates:
            unusable |= (~(scores[:, :, 0, 0] < torch.inf) & mask).any(1)
        for sentence in unusable.nonzero():
            raise not_a_score(int(sentence))
        return best

    def _is_worth_having(self, worth: torch.Tensor, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`(batch, length)` bool: does the predicate earn more on, with arcs `worth >= 0`, than the 0 it earns off?"""
        total = worth.sum(2)
        return (total + scores[:, :, 0, 0].to(total) > 0) & mask if self.predicates else total > 0
