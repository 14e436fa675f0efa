"""What is compared: methods by their name, and whatever else a file says."""

import json
import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from allennlp.common.checks import ConfigurationError
from allennlp.common.file_utils import cached_path

import spigot_allennlp
from spigot_allennlp.tuning.config import TunedConfig, evaluate_jsonnet, jsonnet_import

_METHODS = Path("common") / "methods.libsonnet"
_NAME = r"\w[\w.+-]*"
# What a config has that can be trained by itself, in alphabetic order.
_WHOLE = ["dataset_reader", "model", "train_data_path", "trainer"]


def read_methods(text: str, config_file: str | PathLike[str], overrides: str = "") -> dict[str, TunedConfig]:
    """
    The config of each method.

    # Parameters

    text : `str`
        Methods with commas between them: the name of one in `common/methods.libsonnet`, in a folder above the config or
        else in the `training_configs` of this repository; or `name=file`. What a file has is laid over the config, as
        `config + file` in Jsonnet; where it is a config that can be trained by itself, it stands in its place.
    config_file : `str` or `PathLike`
    overrides : `str`, optional (default = `""`)
        JSON that overrides the config of each of them.

    # Raises

    `ConfigurationError`, if there is no such method or file, fewer than two methods or two of one name, or a config
    that cannot be used; `FileNotFoundError`, if there is no config.
    """
    overlays: dict[str, Callable[[str], str]] = {}
    for method in text.split(","):
        name, has_file, file = method.strip().partition("=")
        if not re.fullmatch(_NAME, name):
            raise ConfigurationError(f"expected a method, or name=file, found {method!r}")
        if name in overlays:
            raise ConfigurationError(f"expected methods of different names, found {name} twice")
        overlays[name] = _from_file(name, file) if has_file else _from_library(name, config_file)
    if len(overlays) < 2:
        raise ConfigurationError(f"expected two methods or more, found {text}")
    return {name: TunedConfig(config_file, overrides, overlay=overlay) for name, overlay in overlays.items()}


def _from_file(name: str, file: str) -> Callable[[str], str]:
    if not Path(file).is_file():
        raise ConfigurationError(f"expected a file for the method {name}, found {file or 'nothing'}")
    part = jsonnet_import(file)

    def overlay(config: str) -> str:
        fields = f"std.setInter({json.dumps(_WHOLE)}, std.objectFields(part))"
        return f"local part = {part}; if std.length({fields}) == {len(_WHOLE)} then part else {config} + part"

    return overlay


def _from_library(name: str, config_file: str | PathLike[str]) -> Callable[[str], str]:
    folders = [*Path(cached_path(config_file)).absolute().parents]
    folders.append(Path(spigot_allennlp.__file__).parents[1] / "training_configs")
    library = next((folder / _METHODS for folder in folders if (folder / _METHODS).exists()), None)
    if library is None:
        raise ConfigurationError(f"expected name=file, as there is no {_METHODS} above {config_file}, found {name}")
    imported = jsonnet_import(library)
    known = evaluate_jsonnet(f"{{ names: std.objectFields({imported}) }}")["names"]
    if name not in known:
        raise ConfigurationError(f"expected a method that is one of {', '.join(known)}, or name=file, found {name}")
    return lambda config: f"{config} + {imported}[{json.dumps(name)}]"
