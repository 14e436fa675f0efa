import torch
from allennlp.nn.util import dist_reduce_sum
from allennlp.training.metrics import Metric


class CountingMetric(Metric):
    """
    A metric whose figures follow from counts over a whole data set. Not registered.

    In distributed training every worker counts its own part. `get_metric(reset=True)`, which the trainer calls on all
    workers when a pass ends, adds the counts up, so that the figures are those of one process that sees all data.
    Until then the figures are of the worker's own part, and workers exchange nothing: they may have batches of other
    shapes and kinds, and one may have more of them than another.

    # Parameters

    num_counts : `int`
        How many numbers are counted.
    """

    def __init__(self, num_counts: int) -> None:
        self._counts = torch.zeros(num_counts, dtype=torch.long)

    def reset(self) -> None:
        self._counts.zero_()

    def count(self, *numbers: torch.Tensor) -> None:
        """Adds `num_counts` integers, each a tensor of shape `()`."""
        self._counts += torch.stack(numbers).cpu()

    def take_counts(self, reset: bool) -> list[int]:
        """The counts so far; with `reset`, which all workers must call, those of all workers, to start anew."""
        if not reset:
            return self._counts.tolist()
        counts = dist_reduce_sum(self._counts).tolist()
        self.reset()
        return counts
