"""What two workers count together."""

from typing import Any

from allennlp.common.testing import run_distributed_test
from allennlp.training.metrics import Metric


def check_two_workers(metric: Metric, arguments: dict[str, list[Any]], expected: dict[str, float]) -> None:
    """
    Checks the figures of a pass in which each worker counts its own of the two values of each argument; a worker whose
    first value is `None` counts nothing.
    """
    run_distributed_test([-1, -1], _count, metric, arguments, expected)


def _count(rank: int, world_size: int, device: Any, metric: Metric, arguments: dict, expected: dict) -> None:
    own = {name: values[rank] for name, values in arguments.items()}
    if next(iter(own.values())) is not None:
        metric(**own)
    assert metric.get_metric(reset=True) == expected
    assert metric.get_metric(reset=True) == {}
