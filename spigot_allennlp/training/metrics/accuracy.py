import torch
from allennlp.training.metrics import Metric

from spigot_allennlp.training.metrics.counting_metric import CountingMetric


@Metric.register("spigot_accuracy")
class Accuracy(CountingMetric):
    """
    The share of sentences whose label has the highest score. Unlike the framework's `categorical_accuracy` it
    exchanges nothing between workers while batches are counted; see [`CountingMetric`](#countingmetric).

    Registered as a `Metric` with name "spigot_accuracy".
    """

    def __init__(self) -> None:
        super().__init__(2)  # sentences; those with the right label

    def __call__(self, scores: torch.Tensor, gold: torch.Tensor) -> None:  # type: ignore
        """
        # Parameters

        scores : `torch.Tensor`
            `(batch, classes)`, floating. Of equal scores the first counts.
        gold : `torch.Tensor`
            `(batch,)` int64: the right class.
        """
        scores, gold = self.detach_tensors(scores, gold)
        is_right = scores.argmax(dim=1) == gold
        self.count(torch.ones_like(is_right), is_right)

    def shares(self, counts: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """`accuracy`."""
        sentences, correct = counts.unbind(-1)
        return {"accuracy": (correct, sentences)}
