import torch
from allennlp.common import Registrable
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import SingleHead, Structure

_OUTSIDE = ("left_out", "nearest")


class TreeLoss(torch.nn.Module, Registrable):
    """
    What the arc scores of a dependency parser are trained with: the most that trees attain, minus the most that trees
    with the gold heads do. It is never below 0.

    Gold trees may be partial, with heads for some tokens only: all trees that fit them are gold then, and a sum, or a
    maximum, goes over these too.

    # Parameters

    outside : `str`, optional (default = `"left_out"`)
        What becomes of a gold tree that the structure does not admit, such as one with crossing arcs where trees are
        projective. "left_out": the sentence has no loss. "nearest": the admitted tree with the most gold arcs takes its
        place.
    """

    default_implementation = "hinge"
    needs: tuple[str, ...] = ()
    """The operations of a structure without which there is no loss."""

    def __init__(self, outside: str = "left_out") -> None:
        super().__init__()
        if outside not in _OUTSIDE:
            raise ConfigurationError(f"outside must be one of {', '.join(_OUTSIDE)}, but is {outside!r}")
        self.outside = outside

    @property
    def of_outside(self) -> str:
        """What becomes of gold trees that are not admitted, in words."""
        return "leaves them out" if self.outside == "left_out" else "has the nearest admitted trees in their place"

    def forward(
        self,
        scores: torch.Tensor,
        gold: torch.Tensor,
        mask: torch.Tensor,
        structure: Structure,
        is_outside: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        # Parameters

        scores : `torch.Tensor`
            `(batch, length, length)`, `[b, modifier, head]`.
        gold : `torch.Tensor`
            The gold trees, 0/1, of the same shape. A token without a head has any.
        mask : `torch.Tensor`
            `(batch, length)` bool, True for ROOT and real tokens.
        structure : `Structure`
            The trees that may be predicted.
        is_outside : `torch.Tensor`, optional (default = `None`)
            `(batch,)` bool: what [`is_outside`](#is_outside) says of these, where that is known.

        # Returns

        `torch.Tensor`
            `(batch,)`: the loss of each sentence, summed over its tokens.
        """
        structure = self.compared(structure)
        if is_outside is None:
            is_outside = is_outside_of(structure, gold, mask, scores == -torch.inf)
        if is_outside.any():
            gold = gold.clone()
            if self.outside == "nearest":
                best = _nearest(structure, gold[is_outside], mask[is_outside], scores[is_outside] == -torch.inf)
                gold[is_outside] = best * gold[is_outside].amax(2, keepdim=True)
            else:
                # Any tree of theirs, whose loss does not count.
                gold[is_outside] = 0
        losses = self.loss(scores, gold, mask, structure)
        return losses.masked_fill(is_outside, 0.0) if self.outside == "left_out" else losses

    def compared(self, structure: Structure) -> Structure:
        """What the gold trees are compared with, where the structure is this one."""
        return structure

    def loss(self, scores: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor, structure: Structure) -> torch.Tensor:
        """What `forward` returns, for gold trees that are admitted."""
        return self.most(scores, mask, structure) - self.most_of_gold(scores, gold, mask, structure)

    def most(self, scores: torch.Tensor, mask: torch.Tensor, structure: Structure) -> torch.Tensor:
        """The most that trees attain, `(batch,)`: the sum of all or the maximum, as a logarithm."""
        return structure.log_partition(scores, mask)

    def most_of_gold(
        self, scores: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor, structure: Structure
    ) -> torch.Tensor:
        """The most that trees with the gold heads attain, `(batch,)`."""
        has_head = gold.amax(2) > 0
        is_partial = (mask & ~has_head)[:, 1:].any(1)
        total = _inner_product(gold, scores)
        if not is_partial.any():
            return total
        fitting = scores.masked_fill(has_head.unsqueeze(2) & (gold == 0), -torch.inf)
        most = self.most(fitting[is_partial], mask[is_partial], structure)
        return total.index_put((is_partial,), most)


def is_outside_of(
    structure: Structure, gold: torch.Tensor, mask: torch.Tensor, forbidden: torch.Tensor | None = None
) -> torch.Tensor:
    """
    Which gold trees a structure of heads does not admit, `(batch,)` bool: those whose arcs no member has all.

    # Parameters

    structure : `Structure`
    gold : `torch.Tensor`
        `(batch, length, length)`, `[b, modifier, head]`, 0/1; partial trees too.
    mask : `torch.Tensor`
        `(batch, length)` bool, True for ROOT and real tokens.
    forbidden : `torch.Tensor`, optional (default = `None`)
        Arcs that no member may have, bool, of the shape of `gold`.
    """
    return (_nearest(structure, gold, mask, forbidden) * gold).sum((1, 2)) < gold.sum((1, 2))


def _nearest(
    structure: Structure, gold: torch.Tensor, mask: torch.Tensor, forbidden: torch.Tensor | None
) -> torch.Tensor:
    return structure.argmax(gold if forbidden is None else gold.masked_fill(forbidden, -torch.inf), mask)


@TreeLoss.register("hinge")
class TreeHinge(TreeLoss):
    """
    `max_z [s.z + cost(z, gold)] - s.gold`, where a wrong arc costs `wrong_arc` and a missed one `missed_arc`
    ([Taskar et al., 2004](https://aclanthology.org/W04-3201/); the costs of
    [Peng, Thomson and Smith, 2018](https://aclanthology.org/P18-1173/)). Parameters are these, and those of
    [`TreeLoss`](#treeloss).
    """

    needs = ("argmax",)

    def __init__(self, wrong_arc: float = 0.5, missed_arc: float = 0.5, outside: str = "left_out"):
        super().__init__(outside)
        self.wrong_arc = wrong_arc
        self.missed_arc = missed_arc

    def loss(self, scores: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor, structure: Structure) -> torch.Tensor:
        # cost(z, gold) = cost . z + constant, without a cost for the tokens that have no gold head
        has_head = gold.amax(2, keepdim=True)
        cost = self.wrong_arc * (has_head - gold) - self.missed_arc * gold
        constant = self.missed_arc * gold.sum(dim=(1, 2))
        most = self.most(scores + cost, mask, structure) + constant
        return most - self.most_of_gold(scores, gold, mask, structure)

    def most(self, scores: torch.Tensor, mask: torch.Tensor, structure: Structure) -> torch.Tensor:
        return _inner_product(structure.argmax(scores.detach(), mask), scores)


@TreeLoss.register("softmax_margin")
class TreeSoftmaxMargin(TreeHinge):
    """
    `log sum_z exp(s.z + cost(z, gold)) - s.gold`, the hinge with a sum over all trees in place of the worst one
    ([Gimpel and Smith, 2010](https://aclanthology.org/N10-1112/)): every wrong arc is told so in every step, by how
    probable it is. The costs, and parameters, are those of [`TreeHinge`](#treehinge).
    """

    needs = ("log_partition",)

    def most(self, scores: torch.Tensor, mask: torch.Tensor, structure: Structure) -> torch.Tensor:
        return structure.log_partition(scores, mask)


@TreeLoss.register("tree_crf")
class TreeCrf(TreeLoss):
    """
    The negative log-likelihood of the gold tree, `log sum_z exp(s.z) - s.gold`; of a partial one, of all trees that fit
    it together ([Li et al., 2016](https://arxiv.org/abs/1609.09247)). Parameters are those of [`TreeLoss`](#treeloss).
    """

    needs = ("log_partition",)


@TreeLoss.register("head_selection")
class HeadSelection(TreeLoss):
    """
    A softmax over the heads of each token, whatever the structure
    ([Zhang, Cheng and Lapata, 2017](https://aclanthology.org/E17-1063/)). So there is no gold tree that is left out.
    Parameters are those of [`TreeLoss`](#treeloss).
    """

    @property
    def of_outside(self) -> str:
        return "learns their heads all the same"

    def compared(self, structure: Structure) -> Structure:
        return SingleHead()


def _inner_product(tree: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """`tree . scores` of each sentence, `(batch,)`, whatever stands in cells without an arc: 0 times -inf is NaN."""
    return scores.where(tree > 0, 0.0).sum(dim=(1, 2))
