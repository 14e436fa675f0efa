from collections.abc import Callable
from typing import Optional

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

    observer: Optional[Callable[[torch.Tensor], None]] = None
    """What is told the counts of each batch, `(batch, num_counts)` int64, a row for each sentence."""

    zero_of_nothing = False
    """Whether a share of nothing is 0 as soon as the first count, that of sentences, is not; else it is left out."""

    def __init__(self, num_counts: int) -> None:
        self._counts = torch.zeros(num_counts, dtype=torch.long)

    def reset(self) -> None:
        self._counts.zero_()

    def count(self, *numbers: torch.Tensor) -> None:
        """Adds `num_counts` integers for each sentence of a batch, each a tensor of shape `(batch,)`."""
        counts = torch.stack([number.long() for number in numbers], dim=-1).cpu().view(-1, len(self._counts))
        if self.observer is not None:
            self.observer(counts)
        self._counts += counts.sum(dim=0)

    def take_counts(self, reset: bool) -> list[int]:
        """The counts so far; with `reset`, which all workers must call, those of all workers, to start anew."""
        if not reset:
            return self._counts.tolist()
        counts = dist_reduce_sum(self._counts).tolist()
        self.reset()
        return counts

    def shares(self, counts: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """
        The figures that counts lead to, each as two sums, of which it is the first over the second.

        # Parameters

        counts : `torch.Tensor`
            `(..., num_counts)` int64: of a data set, or of each sentence of it.

        # Returns

        `dict[str, tuple[torch.Tensor, torch.Tensor]]`
            By the name of a figure, what is right and what there is, `(...)` each. Figures that are no shares are not
            among them.
        """
        return {}

    def get_metric(self, reset: bool = False) -> dict[str, float]:
        """The shares; what becomes of those of nothing is said by `zero_of_nothing`."""
        counts = torch.tensor(self.take_counts(reset))
        keeps_all = self.zero_of_nothing and bool(counts[0])
        shares = self.shares(counts).items()
        return {name: int(right) / max(int(total), 1) for name, (right, total) in shares if keeps_all or total}
