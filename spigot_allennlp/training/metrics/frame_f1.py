import torch
from allennlp.training.metrics import Metric

from spigot_allennlp.training.metrics.counting_metric import CountingMetric


@Metric.register("spigot_frame_f1")
class FrameF1(CountingMetric):
    """
    Precision, recall and F1 of frames over a whole data set (micro averages): a frame is right where the gold token has
    the same. So the shared task of [CoNLL 2009](https://aclanthology.org/W09-1201/) counts the senses of predicates,
    as arcs from ROOT. And the accuracy on tokens that have a gold frame, where it is known that they have one. A figure
    whose denominator is 0 is 0.

    In distributed training the figures are those of one process; see [`CountingMetric`](#countingmetric).

    Registered as a `Metric` with name "spigot_frame_f1".
    """

    zero_of_nothing = True

    def __init__(self) -> None:
        # Sentences; predicted, gold and correct frames; frames that are correct where it is known that there is one.
        super().__init__(5)

    def __call__(  # type: ignore
        self, predicted: torch.Tensor, best: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor
    ) -> None:
        """
        # Parameters

        predicted, gold : `torch.Tensor`
            `(batch, length)` int64: the id of each token's frame, -1 where there is none.
        best : `torch.Tensor`
            `(batch, length)` int64: what is predicted of a token that has a frame.
        mask : `torch.Tensor`
            `(batch, length)` bool.
        """
        predicted, best, gold, mask = self.detach_tensors(predicted, best, gold, mask)
        is_predicted, is_gold = (predicted >= 0) & mask, (gold >= 0) & mask
        correct, known = is_gold & (predicted == gold), is_gold & (best == gold)
        self.count(mask.any(dim=1), *(frames.sum(dim=1) for frames in (is_predicted, is_gold, correct, known)))

    def shares(self, counts: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """`frame_precision`, `frame_recall`, `frame_f1` and `frame_accuracy`."""
        _, predicted, gold, correct, known = counts.unbind(-1)
        return {
            "frame_precision": (correct, predicted),
            "frame_recall": (correct, gold),
            "frame_f1": (2 * correct, predicted + gold),
            "frame_accuracy": (known, gold),
        }
