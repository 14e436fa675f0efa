"""What an archived model makes of sentences: how much of each is right, and which structures it predicts."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Instance
from allennlp.data.dataset_readers import MultiTaskDatasetReader
from allennlp.models import Model

from spigot_allennlp.data.dataset_readers import TOP
from spigot_allennlp.framework.bad_input.archive import load_archive
from spigot_allennlp.framework.distributed import metrics_of
from spigot_allennlp.framework.max_tokens_sampler import MaxTokensSampler
from spigot_allennlp.framework.whole_file import write_whole
from spigot_allennlp.training.metrics import CountingMetric

_PREDICTED = ("heads", "arcs", "tops", "selected", "label", "hypothesis_heads", "hypothesis_selected")
_MAX_TOKENS = 576


@dataclass
class Evaluation:
    """
    A model on sentences.

    # Parameters

    metrics : `dict[str, float]`
        Those of `allennlp evaluate`, without the loss.
    right, total : `dict[str, list[int]]`
        For each metric that is a share, what of each sentence is right and what there is; the metric is the sum of the
        one over the sum of the other. For F1, `right` counts every part that is predicted and gold twice, and `total`
        the predicted and the gold ones.
    sentences : `list[dict[str, Any]]`
        Of each sentence `tokens` and `sentence_id`; and what is gold of it, as far as it is given: `heads` (1-based, 0
        is ROOT, `None` where it is not known), `arcs` (`[predicate, argument, label]`) and `tops`, and `label`. Of
        pairs also `hypothesis_tokens`.
    predictions : `list[dict[str, Any]]`
        What the model predicts of the same, and what it chooses on its way, under the same names.
    """

    metrics: dict[str, float]
    right: dict[str, list[int]]
    total: dict[str, list[int]]
    sentences: list[dict[str, Any]]
    predictions: list[dict[str, Any]]

    def write(self, path: Path, data: str) -> None:
        """Writes it as JSON, with the name of the `data`, all at once."""
        write_whole(path, json.dumps({"data": data, **asdict(self)}))

    @classmethod
    def read(cls, path: Path, data: str) -> "Evaluation | None":
        """What was written; `None`, if nothing was, or it is of other data."""
        if not path.exists():
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(**content) if content.pop("data") == data else None


def evaluate(archive_file: str | PathLike[str], data: str | Mapping[str, str], cuda_device: int = -1) -> Evaluation:
    """
    What `allennlp evaluate` finds of a model, and what it counts of each sentence.

    # Parameters

    archive_file : `str` or `PathLike`
        A model of this package.
    data : `str` or `Mapping[str, str]`
        The file to read with the archive's validation reader; for a reader of several tasks, a file for each of them,
        or for some. A file for one task alone is read by a reader of one task too.
    cuda_device : `int`, optional (default = `-1`)

    # Raises

    `ConfigurationError`, if there is no such model in the archive, or its reader does not fit the data; what the reader
    raises of a file.
    """
    with _quiet():
        return _evaluate(archive_file, data, cuda_device)


def _evaluate(archive_file: str | PathLike[str], data: str | Mapping[str, str], cuda_device: int) -> Evaluation:
    archive = load_archive(archive_file, cuda_device)
    model = archive.model.eval()
    if not any(isinstance(metric, CountingMetric) for metric in metrics_of(model)):
        raise ConfigurationError(f"{archive_file}: expected a model of spigot_allennlp, found {type(model).__name__}")
    instances = list(read_instances(archive.validation_dataset_reader, data))
    if not instances:
        raise ConfigurationError(f"{data}: expected sentences, found none")
    predictions: dict[int, dict[str, Any]] = {}
    counts: dict[CountingMetric, torch.Tensor] = {}
    model.get_metrics(reset=True)
    with _observed(model) as seen:
        for batch in _batches(instances):
            outputs = model.forward_on_instances([instances[i] for i in batch])
            predictions.update(zip(batch, map(_read_prediction, outputs), strict=True))
            for metric, rows in seen:
                if len(rows) != len(batch):
                    raise ValueError(f"Expected {type(metric).__name__} to count sentence by sentence")
                counts.setdefault(metric, rows.new_zeros(len(instances), rows.size(1)))[batch] += rows
            seen.clear()
    metrics = model.get_metrics(reset=True)
    right, total = {}, {}
    for metric, table in counts.items():
        for name, (numerator, denominator) in metric.shares(table).items():
            if name in metrics:
                right[name], total[name] = numerator.tolist(), denominator.tolist()
    in_order = [predictions[i] for i in range(len(instances))]
    return Evaluation(metrics, right, total, list(map(_read_gold, instances)), in_order)


def read_instances(reader: DatasetReader, data: str | Mapping[str, str]) -> Iterator[Instance]:
    """
    The instances of a file or, for a reader of several tasks, of a file for each of them. The file of a single task,
    whatever its name, is also one for a reader of one task.
    """
    if isinstance(data, Mapping) and len(data) == 1 and not isinstance(reader, MultiTaskDatasetReader):
        (data,) = data.values()
    if isinstance(reader, MultiTaskDatasetReader) != isinstance(data, Mapping):
        expected = "a file"
        if isinstance(reader, MultiTaskDatasetReader):
            expected = f"a file for each task, {json.dumps({task: '…' for task in reader.readers}, ensure_ascii=False)}"
        raise ConfigurationError(f"expected {expected}, found {data}")
    if not isinstance(data, Mapping):
        yield from reader.read(data)
        return
    if unknown := data.keys() - reader.readers.keys():
        raise ConfigurationError(f"expected tasks among {', '.join(reader.readers)}, found {min(unknown)}")
    for task, file in data.items():
        yield from reader.readers[task].read(file)


def parse_data(text: str) -> str | dict[str, str]:
    """A file, or JSON that has one for each task."""
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError:
        return text
    return parsed if isinstance(parsed, dict) else text


def _batches(instances: list[Instance]) -> Iterator[list[int]]:
    """Of sentences of like length with the same fields."""
    kinds: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, instance in enumerate(instances):
        kinds[tuple(sorted(instance.fields))].append(i)
    sampler = MaxTokensSampler(_MAX_TOKENS, sorting_keys=["tokens"], padding_noise=0.0)
    for positions in kinds.values():
        for batch in sampler.get_batch_indices([instances[i] for i in positions]):
            yield [positions[i] for i in batch]


@contextmanager
def _quiet() -> Iterator[None]:
    """What the framework says of an archive that it loads, hundreds of lines, is left out."""
    framework = logging.getLogger("allennlp")
    level = framework.level
    framework.setLevel(logging.ERROR)
    try:
        yield
    finally:
        framework.setLevel(level)


@contextmanager
def _observed(model: Model) -> Iterator[list[tuple[CountingMetric, torch.Tensor]]]:
    """What the metrics of a model count, batch by batch: a row for each sentence."""
    seen: list[tuple[CountingMetric, torch.Tensor]] = []
    metrics = [metric for metric in metrics_of(model) if isinstance(metric, CountingMetric)]
    for metric in metrics:
        metric.observer = lambda rows, metric=metric: seen.append((metric, rows))
    try:
        yield seen
    finally:
        for metric in metrics:
            metric.observer = None


def _read_prediction(output: Mapping[str, Any]) -> dict[str, Any]:
    return {name: output[name] for name in _PREDICTED if name in output}


def _read_gold(instance: Instance) -> dict[str, Any]:
    metadata = instance["metadata"].metadata
    gold = {name: metadata.get(name) for name in ("tokens", "sentence_id")}
    if "hypothesis_tokens" in metadata:
        gold["hypothesis_tokens"] = metadata["hypothesis_tokens"]
    if "tree" in instance.fields:
        heads = dict(instance["tree"].indices)
        gold["heads"] = [heads.get(position) for position in range(1, len(gold["tokens"]) + 1)]
    if "graph" in instance.fields:
        field = instance["graph"]
        arcs = [(*pair, label) for pair, label in zip(field.indices, field.labels, strict=True)]
        gold["arcs"] = [[*arc] for arc in sorted(arcs) if arc[2] != TOP]
        gold["tops"] = sorted(argument for _, argument, label in arcs if label == TOP)
    if "label" in instance.fields:
        gold["label"] = instance["label"].label
    return gold
