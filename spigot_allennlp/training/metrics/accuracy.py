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
        self.count(gold.new_tensor(len(gold)), (scores.argmax(dim=1) == gold).sum())

    def get_metric(self, reset: bool = False) -> dict[str, float]:
        """`accuracy`, in [0, 1]. Nothing before any sentence was counted."""
        sentences, correct = self.take_counts(reset)
        return {"accuracy": correct / sentences} if sentences else {}
