"""
Labelled dependency graphs in which every predicate chooses its arguments alone: argmax, log-partition and projections.

Axes throughout: `scores[batch, predicate, argument, label]`, the worth of a labelled arc. Position 0 is ROOT: a
predicate (its arguments are the graph's tops) but never an argument. There are no self-loops, and at most one label
per pair. Cells that can hold no arc (padding, the diagonal, column 0) are ignored in inputs and 0 in outputs.

This is the basic model of NeurboParser ([Peng, Thomson & Smith, 2017](https://aclanthology.org/P17-1186/), section 2),
with the determinism rule of [Flanigan et al. (2014)](https://aclanthology.org/P14-1134/) solved exactly.
"""

import torch

from spigot_allennlp.nn.arcs import arc_mask, not_a_score
from spigot_allennlp.nn.label_assignment import assign_labels, label_indicators, project_onto_label_assignments
from spigot_allennlp.nn.simplex import project_onto_simplex


def possible_arcs(mask: torch.Tensor) -> torch.Tensor:
    """Which pairs may have an arc, `(batch, length, length)` bool, from `mask`, `(batch, length)` bool."""
    return arc_mask(mask).transpose(1, 2)


def graph_argmax(
    scores: torch.Tensor,
    mask: torch.Tensor,
    predicate_scores: torch.Tensor | None = None,
    deterministic_labels: torch.Tensor | None = None,
) -> torch.Tensor:
    """
    The best graph. A predicate that is on earns its predicate score and the scores of its labelled arcs; one that is
    off has no arcs and earns 0. Without further rules the best graph therefore takes every arc whose best label has a
    positive score, and switches a predicate on where its own score plus the sum of these is positive.

    A deterministic label may be used once per predicate. Choosing labels under this rule is a linear assignment
    between the predicate's arguments and its labels. It is solved exactly, by shortest augmenting paths, and only for
    predicates where the choice above breaks the rule.

    # Parameters

    scores : `torch.Tensor`, required.
        `(batch, length, length, labels)`, any floating dtype; -inf forbids a part.
    mask : `torch.Tensor`, required.
        `(batch, length)` bool, True for ROOT and tokens.
    predicate_scores : `torch.Tensor`, optional (default = `None`).
        `(batch, length)`. With `None` there are no predicate parts: every positive arc is on.
    deterministic_labels : `torch.Tensor`, optional (default = `None`).
        `(labels,)` bool, True for labels that a predicate may use only once.

    # Returns

    `torch.Tensor`
        0/1, of the shape, dtype and device of `scores`. Parts worth exactly 0 are left out.

    # Raises

    `ValueError` where a score in use is NaN or +inf, naming the sentence by its index in the batch.
    """
    labels = graph_labels(scores, mask, predicate_scores, deterministic_labels)
    return label_indicators(labels.clamp(min=0), labels >= 0, like=scores)


def graph_labels(
    scores: torch.Tensor,
    mask: torch.Tensor,
    predicate_scores: torch.Tensor | None = None,
    deterministic_labels: torch.Tensor | None = None,
) -> torch.Tensor:
    """
    What [`graph_argmax`](#graph_argmax) returns, without its last axis: `(batch, length, length)` of `torch.long`, the
    label of each arc that is on and -1 elsewhere.
    """
    scores = scores.detach()
    # What each arc adds, where it is on. Shape: (batch, length, length)
    worth = _checked_best_scores(scores, mask, predicate_scores, deterministic_labels).clamp(min=0).double()
    # Shape: (batch, length)
    switched_on = _worth_having(worth, predicate_scores)
    arcs = (worth > 0) & switched_on.unsqueeze(2)
    # Shape: (batch, length, length)
    label = torch.zeros_like(arcs, dtype=torch.long)
    label[arcs] = scores[arcs].argmax(1)

    if deterministic_labels is not None:
        # How often a predicate uses a label. Shape: (batch, length, labels)
        uses = torch.zeros_like(scores[:, :, 0], dtype=torch.long).scatter_add_(2, label, arcs.long())
        broken = ((uses > 1) & deterministic_labels).any(2)
        if broken.any():
            label[broken], worth[broken] = assign_labels(scores[broken], arcs[broken], deterministic_labels)
            arcs = (worth > 0) & (switched_on & _worth_having(worth, predicate_scores)).unsqueeze(2)
    return label.where(arcs, -1)


def graph_log_partition(
    scores: torch.Tensor, mask: torch.Tensor, predicate_scores: torch.Tensor | None = None
) -> torch.Tensor:
    """
    `log sum_z exp(scores . z)` over all graphs, without the rule on deterministic labels (under which it would be a
    sum over matchings, that is a permanent). Predicates and arcs factorise, so with `t = sum_a log(1 + sum_l exp s)`
    a predicate adds `t`, or `log(1 + exp(predicate_score + t))` where it may be off; on and without arcs counts as a
    structure of its own. Parameters and errors are those of [`graph_argmax`](#graph_argmax).

    # Returns

    `torch.Tensor`
        `(batch,)`, of the dtype of `scores`, differentiable in all scores. Its gradient is the marginals.
    """
    _, on = _log_linear_parts(scores, mask, predicate_scores)
    log_partition = on if predicate_scores is None else torch.logaddexp(on, torch.zeros_like(on))
    return log_partition.sum(1).to(scores.dtype)


def graph_marginals(
    scores: torch.Tensor, mask: torch.Tensor, predicate_scores: torch.Tensor | None = None
) -> torch.Tensor:
    """
    The probability of every labelled arc under `p(z) ~ exp(scores . z)`, in closed form: a softmax over "no arc" and
    the labels, times the probability that the predicate is on. Parameters and errors are those of
    [`graph_argmax`](#graph_argmax), and as in [`graph_log_partition`](#graph_log_partition) labels are free.

    # Returns

    `torch.Tensor`
        Of the shape, dtype and device of `scores`, differentiable in `scores` and `predicate_scores`.
    """
    options, on = _log_linear_parts(scores, mask, predicate_scores)
    marginals = options.softmax(3)[..., 1:]
    if predicate_scores is not None:
        marginals = marginals * on.sigmoid()[:, :, None, None]
    return marginals.to(scores.dtype)


def project_onto_graphs(
    point: torch.Tensor, mask: torch.Tensor, deterministic_labels: torch.Tensor | None = None
) -> torch.Tensor:
    """
    The nearest point of the convex hull of all graphs. A predicate that may be off does not change that hull.

    Without deterministic labels this is [`project_onto_label_simplices`](#project_onto_label_simplices). With them, it
    still is for every predicate whose deterministic labels then have weights of at most 1 in sum; for the others it is
    [`project_onto_label_assignments`](label_assignment.md#project_onto_label_assignments).

    # Parameters

    point : `torch.Tensor`, required.
        `(batch, length, length, labels)`, any floating dtype.
    mask : `torch.Tensor`, required.
        `(batch, length)` bool, True for ROOT and tokens.
    deterministic_labels : `torch.Tensor`, optional (default = `None`).
        `(labels,)` bool, True for labels that a predicate may use only once.

    # Returns

    `torch.Tensor`
        Like `point`, to 1e-6, and differentiable.

    # Raises

    `ValueError` where the point is NaN or +inf in a cell in use, naming the sentence by its index in the batch.
    """
    _checked_best_scores(point.detach(), mask, deterministic_labels=deterministic_labels)
    projection = project_onto_label_simplices(point, mask)
    if deterministic_labels is not None:
        # Shape: (batch, length)
        broken = ((projection.sum(2) > 1) & deterministic_labels).any(2)
        if broken.any():
            projection[broken] = project_onto_label_assignments(
                point[broken], possible_arcs(mask)[broken], deterministic_labels
            )
    return projection


def project_onto_label_simplices(point: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    `argmin_z ||z - point||^2  s.t.  z >= 0, sum_label z <= 1` for every pair: negative weights are clipped, and where
    the rest then exceeds 1 in sum, the simplex is the nearest face. Differentiable.

    `point` is `(batch, length, length, labels)`, `mask` is `(batch, length)` bool; the result is like `point`.
    """
    projection = point.clamp(min=0).masked_fill(~possible_arcs(mask).unsqueeze(3), 0)
    crowded = projection.sum(3) > 1
    projection[crowded] = project_onto_simplex(projection[crowded], crowded.new_ones(()))
    return projection


def project_arcs_then_labels(point: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    The relaxation of the program released with [SPIGOT](https://aclanthology.org/P18-1173/): an arc's weight, here the
    sum of its labels, is clipped to `[0, 1]`, and then the labels are projected onto the simplex of that size. Same
    polytope as [`project_onto_label_simplices`](#project_onto_label_simplices), but not its nearest point.

    `point` is `(batch, length, length, labels)`, `mask` is `(batch, length)` bool; the result is like `point`.
    """
    # A label that -inf forbids has no weight; NaN stays NaN. Shape: (batch, length, length)
    weight = point.masked_fill(point == -torch.inf, 0).sum(3).clamp(0, 1).masked_fill(~possible_arcs(mask), 0)
    on = ~(weight <= 0)
    # The simplex of size w is w times the simplex.
    size = weight[on].unsqueeze(1)
    projection = torch.zeros_like(point)
    projection[on] = size * project_onto_simplex(point[on] / size, on.new_ones(()))
    return projection


def _log_linear_parts(
    scores: torch.Tensor, mask: torch.Tensor, predicate_scores: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The scores of "no arc" (label 0, worth 0) and of the labels, `(batch, length, length, 1 + labels)`, and the log-sum
    of each predicate that is on, `(batch, length)`; for padding that is -inf or, without predicate scores, 0.
    """
    _checked_best_scores(scores.detach(), mask, predicate_scores)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    scores = scores.masked_fill(~possible_arcs(mask).unsqueeze(3), -torch.inf)
    options = torch.nn.functional.pad(scores, (1, 0))
    on = options.logsumexp(3).sum(2)
    if predicate_scores is not None:
        on = on + predicate_scores.to(on).masked_fill(~mask, -torch.inf)
    return options, on


def _checked_best_scores(
    scores: torch.Tensor,
    mask: torch.Tensor,
    predicate_scores: torch.Tensor | None = None,
    deterministic_labels: torch.Tensor | None = None,
) -> torch.Tensor:
    """The score of every pair's best label, -inf where no arc may be, once wrong shapes, NaN and +inf are ruled out."""
    if scores.dim() != 4 or scores.shape[:3] != (*mask.shape, mask.size(1)) or mask.dtype != torch.bool:
        raise ValueError(
            "scores and mask should be (batch, length, length, labels) and bool, (batch, length), but are "
            f"{tuple(scores.shape)} and {mask.dtype}, {tuple(mask.shape)}"
        )
    if not mask.size(1):
        raise ValueError("sentences have no position 0, which is ROOT")
    if deterministic_labels is not None and (
        deterministic_labels.shape != scores.shape[3:] or deterministic_labels.dtype != torch.bool
    ):
        raise ValueError(
            f"deterministic_labels should be bool, {tuple(scores.shape[3:])}, but are {deterministic_labels.dtype}, "
            f"{tuple(deterministic_labels.shape)}"
        )
    if predicate_scores is not None and predicate_scores.shape != mask.shape:
        raise ValueError(f"predicate_scores should be {tuple(mask.shape)}, but are {tuple(predicate_scores.shape)}")
    best = scores.amax(3).masked_fill(~possible_arcs(mask), -torch.inf)
    # A maximum over something with NaN is NaN, which is not less than infinity either.
    unusable = ~(best < torch.inf).flatten(1).all(1)
    if predicate_scores is not None:
        unusable |= (~(predicate_scores < torch.inf) & mask).any(1)
    for sentence in unusable.nonzero():
        raise not_a_score(int(sentence))
    return best


def _worth_having(worth: torch.Tensor, predicate_scores: torch.Tensor | None) -> torch.Tensor:
    """`(batch, length)` bool: does the predicate earn more on, with arcs `worth >= 0`, than the 0 it earns off?"""
    total = worth.sum(2)
    return total > 0 if predicate_scores is None else total + predicate_scores.detach().to(total) > 0
