"""What a training with several workers needs to know of its model and its config."""

import json
import os
from pathlib import Path

from allennlp.common.checks import ConfigurationError
from allennlp.models.archival import CONFIG_NAME
from allennlp.training.metrics import Metric
from torch.nn import Module

from spigot_allennlp.surrogates import StructuredArgmax
from spigot_allennlp.training.metrics import CountingMetric


def counts_alone(model: Module) -> bool:
    """Whether all metrics of the model count alone while a pass goes on, so that no worker needs the others."""
    metrics = metrics_of(model)
    return bool(metrics) and all(isinstance(metric, CountingMetric) for metric in metrics)


def metrics_of(model: Module) -> list[Metric]:
    """The metrics of a model and its stages."""
    attributes = [attribute for module in model.modules() for attribute in vars(module).values()]
    for container in [attribute for attribute in attributes if isinstance(attribute, (dict, list, tuple))]:
        attributes += container.values() if isinstance(container, dict) else container
    return [attribute for attribute in attributes if isinstance(attribute, Metric)]


def may_leave_parameters(model: Module) -> bool:
    """
    Whether batches may leave parameters without a gradient: those of one kind train one stage only, and the rule
    "pipeline" passes no gradient.
    """
    return any(isinstance(module, StructuredArgmax) for module in model.modules())


def check_test_data(serialization_dir: str | os.PathLike[str]) -> None:
    """
    Raises a `ConfigurationError` for `evaluate_on_test`, with which the framework's first worker evaluates its own part
    of the test data, and waits in vain for the metrics of the others.
    """
    config = Path(serialization_dir) / CONFIG_NAME
    if config.exists() and json.loads(config.read_text(encoding="utf-8")).get("evaluate_on_test"):
        raise ConfigurationError(
            "expected no evaluate_on_test with distributed: run `allennlp evaluate` on the archive instead"
        )
