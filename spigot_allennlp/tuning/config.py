"""The config that a sweep starts from."""

import json
import tempfile
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.file_utils import cached_path
from allennlp.common.params import parse_overrides, with_overrides

from spigot_allennlp.framework.bad_input import explain


class Metric(NamedTuple):
    """A metric of the validation data, and whether it is to be maximised."""

    name: str
    maximise: bool


class TunedConfig:
    """
    A config some of whose settings are replaced.

    # Parameters

    config_file : `str` or `PathLike`
        What `allennlp train` trains.
    overrides : `str`, optional (default = `""`)
        JSON as for `allennlp train`.
    metric : `str`, optional (default = `None`)
        Stands in for `trainer.validation_metric`, written in the same way, with a `+` or `-`.
    overlay : `Callable[[str], str]`, optional (default = `None`)
        What is trained instead of the config, as Jsonnet, given Jsonnet that evaluates to the config.

    # Raises

    `ConfigurationError`, if the file is no config, or has no single metric or nothing to validate on.
    """

    def __init__(
        self,
        config_file: str | PathLike[str],
        overrides: str = "",
        metric: str | None = None,
        overlay: Callable[[str], str] | None = None,
    ) -> None:
        self._config = jsonnet_import(cached_path(config_file))
        if overlay is not None:
            self._config = f"({overlay(self._config)})"
        try:
            self._overrides = parse_overrides(overrides)
            hidden = "std.setDiff(std.objectFieldsAll(config), std.objectFields(config))"
            both = evaluate_jsonnet(f"local config = {self._config}; {{ hidden: {hidden}, config: config }}")
            self._hidden = set(both["hidden"])
            if metric is not None:
                self._overrides["trainer.validation_metric"] = metric
            self.base = with_overrides(both["config"].as_dict(quiet=True), self._overrides)
        except (RuntimeError, ValueError) as error:  # of Jsonnet, of the overrides
            raise ConfigurationError(f"{config_file}: {explain(error) or error}") from None
        self.metric = _parse_metric(self.base.get("trainer", {}).get("validation_metric", "-loss"))
        if self.base.get("validation_data_path") is None:
            raise ConfigurationError(f"{config_file} has no validation_data_path, so no {self.metric.name} to compare")
        if "distributed" in self.base:
            raise ConfigurationError("a trial is trained in one process: expected a config without `distributed`")

    def resolve(self, settings: dict[str, Any]) -> Params:
        """
        The config with some settings. Those are named as in `--overrides`, or by a hidden field, which is replaced
        before the rest is built from it.
        """
        hidden = {name: value for name, value in settings.items() if name in self._hidden}
        visible = {name: value for name, value in settings.items() if name not in self._hidden}
        config = evaluate_jsonnet(f"{self._config} + {json.dumps(hidden)}").as_dict(quiet=True)
        return Params(with_overrides(with_overrides(config, self._overrides), visible))

    def check(self, settings: Iterable[str]) -> None:
        """Raises a `ConfigurationError` if not all of the settings replace something that the config has."""
        for name in settings:
            if name not in self._hidden and not _contains(self.base, name):
                raise ConfigurationError(f"the config has no '{name}' that could be varied")
        for name in settings:
            parts = sorted(other for other in settings if other.startswith(name + "."))
            if parts:
                raise ConfigurationError(f"'{parts[0]}' is a part of '{name}': only one of them can be varied")


def jsonnet_import(path: str | PathLike[str]) -> str:
    """Jsonnet that evaluates to what the file does."""
    return f"(import {json.dumps(str(Path(path).absolute()))})"


def evaluate_jsonnet(jsonnet: str) -> Params:
    """What Jsonnet evaluates to, with environment variables as `std.extVar`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.jsonnet"
        path.write_text(jsonnet, encoding="utf-8")
        return Params.from_file(path)


def _parse_metric(metric: Any) -> Metric:
    if not isinstance(metric, str) or metric[:1] not in ("+", "-"):
        raise ConfigurationError(f"expected a metric with + (the larger the better) or - before it, found {metric}")
    return Metric(metric[1:], maximise=metric[0] == "+")


def _contains(config: Any, dotted: str) -> bool:
    for name in dotted.split("."):
        if isinstance(config, list):
            config = {str(position): item for position, item in enumerate(config)}
        if not isinstance(config, dict) or name not in config:
            return False
        config = config[name]
    return True
