import torch
from allennlp.training.metrics import Metric
from torch.nn.functional import one_hot

from spigot_allennlp.training.metrics.counting_metric import CountingMetric


@Metric.register("spigot_v_measure")
class VMeasure(CountingMetric):
    """
    How far two partitions of a data set are the same, whatever the names of their classes: the harmonic mean of
    homogeneity and completeness ([Rosenberg and Hirschberg, 2007](https://aclanthology.org/D07-1043/)), 0 to 1. It is
    also their mutual information over the mean of their entropies
    ([Becker, 2011](https://www.cs.columbia.edu/~hila/hila-thesis-distributed.pdf)).

    Registered as a `Metric` with name "spigot_v_measure".

    # Parameters

    num_predicted, num_gold : `int`
        How many classes the two have.
    """

    def __init__(self, num_predicted: int, num_gold: int) -> None:
        # A table: of each predicted class, how many are of each gold one.
        super().__init__(num_predicted * num_gold)
        self._num_gold = num_gold

    def __call__(self, predicted: torch.Tensor, gold: torch.Tensor) -> None:  # type: ignore
        """
        # Parameters

        predicted, gold : `torch.Tensor`
            `(batch,)` int64: the two classes of each.
        """
        predicted, gold = self.detach_tensors(predicted, gold)
        cell = predicted * self._num_gold + gold
        self.count(*one_hot(cell, len(self._counts)).unbind(1))

    def get_metric(self, reset: bool = False) -> dict[str, float]:
        """`v_measure`, if there were any."""
        counts = self.take_counts(reset)
        if not any(counts):
            return {}
        table = torch.tensor(counts, dtype=torch.double).view(-1, self._num_gold)
        both, apart = _entropy(table), _entropy(table.sum(dim=0)) + _entropy(table.sum(dim=1))
        # Two partitions of one class each are the same.
        return {"v_measure": max(0.0, 2 * (apart - both) / apart) if apart else 1.0}


def _entropy(counts: torch.Tensor) -> float:
    return torch.special.entr(counts / counts.sum()).sum().item()
