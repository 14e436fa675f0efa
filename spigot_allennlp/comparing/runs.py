"""Trained models: those of a study, and archives that exist."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from allennlp.common.checks import ConfigurationError

from spigot_allennlp.comparing.evaluation import Evaluation, evaluate

_NAMED = r"(\w[\w.+-]*)=(.+)"


@dataclass
class Run:
    """
    A trained model of a method.

    # Parameters

    name : `str`
        What tells it from the others of its method.
    evaluation : `Evaluation`
    best_epoch : `int`, optional (default = `None`)
        Counted from 0, as the framework does.
    seconds : `float`, optional (default = `None`)
        How long the training took.
    """

    name: str
    evaluation: Evaluation
    best_epoch: int | None = None
    seconds: float | None = None


def read_log(folder: Path) -> dict[str, Any]:
    """`best_epoch` and `seconds` of a training, as far as its `metrics.json` is in the folder."""
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {"best_epoch": metrics.get("best_epoch"), "seconds": _seconds(metrics.get("training_duration"))}


def read_archives(names: Sequence[str]) -> dict[str, list[str]]:
    """
    The archives of each method.

    # Parameters

    names : `Sequence[str]`
        `a.tar.gz`, or `name=a.tar.gz,b.tar.gz` for several runs of one method. Without a name, an archive is called as
        its file or, if that is `model.tar.gz`, its folder.

    # Raises

    `ConfigurationError`, if there are fewer than two methods, or an archive does not exist.
    """
    methods: dict[str, list[str]] = {}
    unnamed = [name for name in names if Path(name).exists() or not re.fullmatch(_NAMED, name)]
    short = [_short_name(name) for name in unnamed]
    for name in names:
        if name in unnamed:
            own = _short_name(name)
            label, paths = own if short.count(own) == 1 else name, [name]
        else:
            label, files = re.fullmatch(_NAMED, name).groups()
            paths = files.split(",")
        methods.setdefault(label, []).extend(paths)
    for path in (path for paths in methods.values() for path in paths):
        if not Path(path).exists():
            raise ConfigurationError(f"expected a model archive, found no file {path}")
    if len(methods) < 2:
        raise ConfigurationError(f"expected archives of two methods or more, found one, {next(iter(methods))}")
    return methods


def evaluate_archives(
    archives: Mapping[str, Sequence[str]], data: str | Mapping[str, str], cuda_device: int = -1
) -> dict[str, list[Run]]:
    """The runs of each method; for errors see [`evaluate`](./evaluation.md#evaluate)."""
    return {
        name: [Run(path, evaluate(path, data, cuda_device), **read_log(Path(path).parent)) for path in paths]
        for name, paths in archives.items()
    }


def _short_name(archive: str) -> str:
    path = Path(archive)
    return path.absolute().parent.name if path.name == "model.tar.gz" else path.name.removesuffix(".tar.gz")


def _seconds(duration: str | None) -> float | None:
    """Of what `str` makes of a `timedelta`."""
    found = re.fullmatch(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)", duration or "")
    if found is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
