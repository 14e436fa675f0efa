from typing import NamedTuple, Optional

import torch
from allennlp.common import Registrable
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from spigot_allennlp.checks import not_negative
from spigot_allennlp.nn.arcs import arc_mask
from spigot_allennlp.structures import SemanticGraph


class GraphScores(NamedTuple):
    """
    What a semantic parser thinks of every part of a graph.

    # Parameters

    arcs : `torch.Tensor`
        `(batch, length, length)`, `[b, predicate, argument]`.
    labels : `torch.Tensor`
        `(batch, length, length, labels)`; -inf for labels that the argument cannot have.
    predicates : `torch.Tensor`, optional (default = `None`)
        `(batch, length)`.
    """

    arcs: torch.Tensor
    labels: torch.Tensor
    predicates: Optional[torch.Tensor] = None


class GraphLoss(torch.nn.Module, Registrable):
    """
    What the scores of a semantic parser are trained with, and so what they mean: `part_scores` joins them into the
    worth of each part, which is what the argmax sees.
    """

    default_implementation = "hinge"
    needs: tuple[str, ...] = ()
    """The operations of a structure without which there is no loss."""

    def part_scores(self, scores: GraphScores) -> torch.Tensor:
        """The scores of all parts of a [`SemanticGraph`](../structures/semantic_graph.md)."""
        labelled = self.labelled_arc_scores(scores)
        if scores.predicates is not None:
            labelled[:, :, 0, 0] = scores.predicates
        return labelled

    def labelled_arc_scores(self, scores: GraphScores) -> torch.Tensor:
        """The worth of each labelled arc, `(batch, length, length, labels)`, a new tensor."""
        raise NotImplementedError

    def forward(
        self, scores: GraphScores, gold: torch.Tensor, mask: torch.Tensor, structure: SemanticGraph
    ) -> torch.Tensor:
        """
        # Parameters

        scores : `GraphScores`
        gold : `torch.Tensor`
            `(batch, length, length)` int64: the label of each arc, -1 where there is none. An arc whose label is not
            in the vocabulary (its id is `labels`) counts as an arc without a label.
        mask : `torch.Tensor`
            `(batch, length)` bool, True for ROOT and real tokens.
        structure : `SemanticGraph`
            The graphs that may be predicted.

        # Returns

        `torch.Tensor`
            `(batch,)`: the loss of each sentence, summed over its parts.
        """
        raise NotImplementedError


@GraphLoss.register("hinge")
class GraphHinge(GraphLoss):
    """
    `max_z [s.z + cost(z, gold)] - s.gold` with costs on labelled arcs: `false_positive` for each that is on and
    should not be, `false_negative` for each that is off and should be on
    ([Peng, Thomson and Smith, 2018](https://aclanthology.org/P18-1173/), section 4; recall is bought with the second).
    """

    def __init__(self, false_positive: float = 0.4, false_negative: float = 0.6):
        super().__init__()
        self.false_positive = not_negative("false_positive", false_positive)
        self.false_negative = not_negative("false_negative", false_negative)

    def labelled_arc_scores(self, scores: GraphScores) -> torch.Tensor:
        return scores.arcs.unsqueeze(-1) + scores.labels

    def forward(
        self, scores: GraphScores, gold: torch.Tensor, mask: torch.Tensor, structure: SemanticGraph
    ) -> torch.Tensor:
        arc_scores, label_scores, predicate_scores = scores
        # cost(z, gold) = cost . z + false_negative * number of gold arcs
        # Shape (all): (number of gold arcs,)
        sentence, predicate, argument, label = labelled_arcs(gold, label_scores.size(-1))
        gold_scores = arc_scores[sentence, predicate, argument] + label_scores[sentence, predicate, argument, label]
        loss = torch.zeros_like(arc_scores[:, 0, 0]).index_add(0, sentence, self.false_negative - gold_scores)
        with torch.no_grad():
            augmented = self.part_scores(scores)
            augmented[:, :, 1:] += self.false_positive
            augmented[sentence, predicate, argument, label] -= self.false_positive + self.false_negative
            worst = structure.best_labels(augmented, mask)
            is_right = worst == gold

        # What the arcs of the worst graph earn. Shape: (number of its arcs,)
        sentence, predicate, argument, label = labelled_arcs(worst, label_scores.size(-1))
        earned = arc_scores[sentence, predicate, argument] + label_scores[sentence, predicate, argument, label]
        is_right = is_right[sentence, predicate, argument].to(earned)
        earned = earned - self.false_negative * is_right + self.false_positive * (1 - is_right)
        # A predicate is worth its own score and its arcs, or nothing. Shape: (batch, length)
        best = torch.zeros_like(arc_scores[:, 0]).index_put((sentence, predicate), earned, accumulate=True)
        if predicate_scores is not None:
            best = (best + predicate_scores).relu().where(mask, 0.0)
            loss = loss - predicate_scores.where((gold >= 0).any(dim=2), 0.0).sum(dim=1)
        return loss + best.sum(dim=1)


@GraphLoss.register("softmax_margin")
class GraphSoftmaxMargin(GraphHinge):
    """
    `log sum_z exp(s.z + cost(z, gold)) - s.gold`, the hinge with a sum over all graphs in place of the worst one
    ([Gimpel and Smith, 2010](https://aclanthology.org/N10-1112/)). The costs are those of [`GraphHinge`](#graphhinge).
    """

    needs = ("log_partition",)

    def forward(
        self, scores: GraphScores, gold: torch.Tensor, mask: torch.Tensor, structure: SemanticGraph
    ) -> torch.Tensor:
        part_scores = self.part_scores(scores)
        arcs = labelled_arcs(gold, part_scores.size(-1))
        sentence = arcs[0]
        loss = torch.zeros_like(part_scores[:, 0, 0, 0]).index_add(0, sentence, self.false_negative - part_scores[arcs])
        if scores.predicates is not None:
            loss = loss - scores.predicates.where((gold >= 0).any(dim=2), 0.0).sum(dim=1)
        cost = torch.full_like(part_scores, self.false_positive)
        cost[:, :, 0] = 0
        cost[arcs] = -self.false_negative
        return loss + structure.log_partition(part_scores + cost, mask)


@GraphLoss.register("sigmoid_softmax")
class SigmoidSoftmax(GraphLoss):
    """
    Each arc (and predicate) decides alone by a sigmoid, each gold arc chooses its label by a softmax
    ([Dozat and Manning, 2018](https://aclanthology.org/P18-2077/)). An arc is then on when its arc score is positive,
    whatever its label.
    """

    def labelled_arc_scores(self, scores: GraphScores) -> torch.Tensor:
        # Where no label may be, there is no best one.
        best = scores.labels.amax(dim=-1, keepdim=True).clamp(min=torch.finfo(scores.labels.dtype).min)
        return (scores.labels - best).add_(scores.arcs.unsqueeze(-1))

    def forward(
        self, scores: GraphScores, gold: torch.Tensor, mask: torch.Tensor, structure: SemanticGraph
    ) -> torch.Tensor:
        arc_scores, label_scores, predicate_scores = scores
        is_arc = gold >= 0
        arc_loss = binary_cross_entropy_with_logits(arc_scores, is_arc.to(arc_scores), reduction="none")
        loss = arc_loss.where(arc_mask(mask).transpose(1, 2), 0.0).sum(dim=(1, 2))
        if predicate_scores is not None:
            is_predicate = is_arc.any(dim=2).to(predicate_scores)
            predicate_loss = binary_cross_entropy_with_logits(predicate_scores, is_predicate, reduction="none")
            loss = loss + predicate_loss.where(mask, 0.0).sum(dim=1)

        sentence, predicate, argument, label = labelled_arcs(gold, label_scores.size(-1))
        label_loss = cross_entropy(label_scores[sentence, predicate, argument], label, reduction="none")
        return loss.index_add(0, sentence, label_loss)


def labelled_arcs(graph: torch.Tensor, num_labels: int) -> tuple[torch.Tensor, ...]:
    """Sentence, predicate, argument and label of every arc of `graph` whose label is known, each `(arcs,)` int64."""
    arcs = torch.nonzero((graph >= 0) & (graph < num_labels), as_tuple=True)
    return *arcs, graph[arcs]
