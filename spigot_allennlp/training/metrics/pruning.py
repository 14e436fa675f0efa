import torch
from allennlp.training.metrics import Metric

from spigot_allennlp.training.metrics.counting_metric import CountingMetric


@Metric.register("spigot_pruning")
class Pruning(CountingMetric):
    """
    How many arcs a pruner leaves, and whether the gold ones are among them.

    Registered as a `Metric` with name "spigot_pruning".
    """

    def __init__(self) -> None:
        super().__init__(4)  # tokens, arcs that are left, gold arcs, gold arcs that are left

    def __call__(self, kept: torch.Tensor, mask: torch.Tensor, gold: torch.Tensor | None = None) -> None:  # type: ignore
        """
        # Parameters

        kept : `torch.Tensor`
            `(batch, length, length)` bool, `[modifier, head]`: the arcs that are left.
        mask : `torch.Tensor`
            `(batch, length)` bool, True for ROOT and real tokens.
        gold : `torch.Tensor`, optional (default = `None`)
            The gold arcs, of the shape of `kept`, bool.
        """
        gold = torch.zeros_like(kept) if gold is None else gold
        self.count(*(part.flatten(1).sum(dim=1) for part in (mask[:, 1:], kept, gold, gold & kept)))

    def shares(self, counts: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """`pruner_arcs`, a token's arcs on average, and `pruner_recall`, the share of gold arcs that are left."""
        tokens, arcs, gold, found = counts.unbind(-1)
        return {"pruner_arcs": (arcs, tokens), "pruner_recall": (found, gold)}
