import torch

from spigot_allennlp.nn.semantic_graph import (
    graph_argmax,
    graph_labels,
    graph_log_partition,
    graph_marginals,
    possible_arcs,
    project_arcs_then_labels,
    project_onto_graphs,
    project_onto_label_simplices,
)
from spigot_allennlp.structures.structure import Structure


@Structure.register("semantic_graph")
class SemanticGraph(Structure):
    """
    A labelled semantic dependency graph: `scores` is `(batch, length, length, labels)`, indexed
    `[b, predicate, argument, label]`, the worth of a labelled arc. ROOT, at position 0, is a predicate whose arguments
    are the graph's tops, and never an argument. There are no self-loops, and at most one label per pair.

    Registered as a `Structure` with name "semantic_graph". Every method takes two further inputs:

    predicate_scores : `torch.Tensor`, optional (default = `None`).
        `(batch, length)`: what a predicate adds by being on; only then it may have arcs. With `None` there are no
        predicate parts.
    deterministic_labels : `torch.Tensor`, optional (default = `None`).
        `(labels,)` bool: labels that a predicate may use only once. `argmax` and `project` keep this rule;
        `log_partition` and `marginals`, where it is intractable, and the two relaxations leave it out.

    For the algorithms see [`nn/semantic_graph.py`](../nn/semantic_graph.md).
    """

    def argmax(
        self,
        scores: torch.Tensor,
        mask: torch.Tensor,
        predicate_scores: torch.Tensor | None = None,
        deterministic_labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        return graph_argmax(scores, mask, predicate_scores, deterministic_labels)

    def best_labels(
        self,
        scores: torch.Tensor,
        mask: torch.Tensor,
        predicate_scores: torch.Tensor | None = None,
        deterministic_labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`argmax` at a fraction of its memory: `(batch, length, length)`, the label of each arc, -1 for no arc."""
        return graph_labels(scores, mask, predicate_scores, deterministic_labels)

    def log_partition(
        self,
        scores: torch.Tensor,
        mask: torch.Tensor,
        predicate_scores: torch.Tensor | None = None,
        deterministic_labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        return graph_log_partition(scores, mask, predicate_scores)

    def marginals(
        self,
        scores: torch.Tensor,
        mask: torch.Tensor,
        predicate_scores: torch.Tensor | None = None,
        deterministic_labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        return graph_marginals(scores, mask, predicate_scores)

    def project(
        self,
        point: torch.Tensor,
        mask: torch.Tensor,
        predicate_scores: torch.Tensor | None = None,
        deterministic_labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        The nearest point of `conv(Z)`. Whether predicates may be off does not change that hull. Without deterministic
        labels it is the product of the pairs' label simplices, so that `project_local` is exact; with them, it is one
        hull of label assignments per predicate.
        """
        return project_onto_graphs(point, mask, deterministic_labels)

    def project_local(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        """Per pair, the nearest label weights `z >= 0` with `sum_l z <= 1`."""
        return project_onto_label_simplices(point, mask)

    def project_released(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        """Per pair, the sum of the labels clipped to `[0, 1]`, then the nearest label weights with that sum."""
        return project_arcs_then_labels(point, mask)

    def parts(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        return possible_arcs(mask).unsqueeze(3).expand_as(scores)
