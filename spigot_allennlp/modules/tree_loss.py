import torch
from allennlp.common import Registrable

from spigot_allennlp.structures import SingleHead, Structure


class TreeLoss(torch.nn.Module, Registrable):
    """
    What the arc scores of a dependency parser are trained with.

    A gold tree that the structure does not admit (a crossing one, where trees are projective) lies outside the set
    that "hinge" and "tree_crf" compare it with; its loss can then be below 0.
    """

    default_implementation = "hinge"
    needs: tuple[str, ...] = ()
    """The operations of a structure without which there is no loss."""

    def forward(
        self, scores: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor, structure: Structure
    ) -> torch.Tensor:
        """
        # Parameters

        scores : `torch.Tensor`
            `(batch, length, length)`, `[b, modifier, head]`.
        gold : `torch.Tensor`
            The gold trees, 0/1, of the same shape.
        mask : `torch.Tensor`
            `(batch, length)` bool, True for ROOT and real tokens.
        structure : `Structure`
            The trees that may be predicted.

        # Returns

        `torch.Tensor`
            `(batch,)`: the loss of each sentence, summed over its tokens.
        """
        raise NotImplementedError


@TreeLoss.register("hinge")
class TreeHinge(TreeLoss):
    """
    `max_z [s.z + cost(z, gold)] - s.gold`, where a wrong arc costs `wrong_arc` and a missed one `missed_arc`
    ([Taskar et al., 2004](https://aclanthology.org/W04-3201/); the costs of
    [Peng, Thomson and Smith, 2018](https://aclanthology.org/P18-1173/)).
    """

    needs = ("argmax",)

    def __init__(self, wrong_arc: float = 0.5, missed_arc: float = 0.5):
        super().__init__()
        self.wrong_arc = wrong_arc
        self.missed_arc = missed_arc

    def forward(
        self, scores: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor, structure: Structure
    ) -> torch.Tensor:
        # cost(z, gold) = cost . z + constant
        cost = self.wrong_arc * (1 - gold) - self.missed_arc * gold
        constant = self.missed_arc * gold.sum(dim=(1, 2))
        return self.most(scores + cost, mask, structure) - _inner_product(gold, scores) + constant

    def most(self, scores: torch.Tensor, mask: torch.Tensor, structure: Structure) -> torch.Tensor:
        """`max_z scores . z`, `(batch,)`."""
        return _inner_product(structure.argmax(scores.detach(), mask), scores)


@TreeLoss.register("softmax_margin")
class TreeSoftmaxMargin(TreeHinge):
    """
    `log sum_z exp(s.z + cost(z, gold)) - s.gold`, the hinge with a sum over all trees in place of the worst one
    ([Gimpel and Smith, 2010](https://aclanthology.org/N10-1112/)): every wrong arc is told so in every step, by how
    probable it is. The costs are those of [`TreeHinge`](#treehinge).
    """

    needs = ("log_partition",)

    def most(self, scores: torch.Tensor, mask: torch.Tensor, structure: Structure) -> torch.Tensor:
        return structure.log_partition(scores, mask)


@TreeLoss.register("tree_crf")
class TreeCrf(TreeLoss):
    """The negative log-likelihood of the gold tree, `log sum_z exp(s.z) - s.gold`."""

    needs = ("log_partition",)

    def forward(
        self, scores: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor, structure: Structure
    ) -> torch.Tensor:
        return structure.log_partition(scores, mask) - _inner_product(gold, scores)


@TreeLoss.register("head_selection")
class HeadSelection(TreeLoss):
    """
    A softmax over the heads of each token, whatever the structure
    ([Zhang, Cheng and Lapata, 2017](https://aclanthology.org/E17-1063/)).
    """

    def forward(
        self, scores: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor, structure: Structure
    ) -> torch.Tensor:
        return SingleHead().log_partition(scores, mask) - _inner_product(gold, scores)


def _inner_product(tree: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """`tree . scores` of each sentence, `(batch,)`, whatever stands in cells without an arc: 0 times -inf is NaN."""
    return scores.where(tree > 0, 0.0).sum(dim=(1, 2))
