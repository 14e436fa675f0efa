"""
What an archive may do that somebody else has made: it writes nothing outside its folder, and names no code to run.

A config may name a class as `module.Class`, and the framework imports that module and calls whatever has this name. So
only classes of those packages are taken that models are made of, and of packages that the user trusts.
"""

import importlib
import importlib.util
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import torch
from allennlp.common import FromParams, Params, Registrable
from allennlp.common.checks import ConfigurationError
from allennlp.common.file_utils import cached_path
from allennlp.common.plugins import discover_plugins
from allennlp.models.archival import CONFIG_NAME

_PACKAGES = ("allennlp", "allennlp_models", "spigot_allennlp", "torch.nn")
# What a training has beside its model writes files where its settings say.
_OF_TRAININGS = ("allennlp.commands", "allennlp.training", "spigot_allennlp.framework", "spigot_allennlp.training")
_METRICS = ("allennlp.training.metrics", "spigot_allennlp.training.metrics")
_HOW_TO_TRUST = "a package that you trust is named by --include-package or in .allennlp_plugins"
_KINDS = (FromParams, torch.nn.Module)  # In those packages there are names of functions and of other packages, too.


class Trust(NamedTuple):
    """
    Whose code an archive may name, besides the classes of AllenNLP, of this package and of `torch.nn`.

    # Parameters

    packages : `tuple[str, ...]`, optional (default = `()`)
        All that is in these.
    everybody : `bool`, optional (default = `False`)
    """

    packages: tuple[str, ...] = ()
    everybody: bool = False

    @classmethod
    def by_user(cls, include_package: Iterable[str] = (), everybody: bool = False) -> "Trust":
        """That of a user who has named packages to the command, and plugins to the framework."""
        return cls(tuple(name.partition(".")[0] for name in (*include_package, *discover_plugins())), everybody)


@contextmanager
def extracted(archive_file: str | PathLike[str], overrides: str, trust: Trust) -> Iterator[str]:
    """
    The folder with the content of an archive, for as long as the context lasts, or that folder which is named instead.

    # Raises

    `ConfigurationError`, if the archive is not to be trusted.
    """
    path = cached_path(archive_file)
    if os.path.isdir(path):
        _check_config(path, overrides, trust)
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(path, "r:gz") as archive:
            _extract(archive, _checked(archive), folder)
        _check_config(folder, overrides, trust)
        yield folder


def check_archive(archive_file: str | PathLike[str], overrides: str, trust: Trust) -> None:
    """
    Of an archive that the framework is about to load by itself.

    # Raises

    `ConfigurationError`, if the archive is not to be trusted. Whatever else is wrong with it, the framework tells.
    """
    path = cached_path(archive_file)
    if os.path.isdir(path):
        _check_config(path, overrides, trust)
        return
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(path, "r:gz") as archive:
            _extract(archive, (member for member in _checked(archive) if _path(member) == CONFIG_NAME), folder)
        _check_config(folder, overrides, trust)


def _checked(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    seen = set()
    for member in archive:
        path = _path(member)
        # A link may lead outside, and what comes after it through the link.
        if not (member.isfile() or member.isdir()) or path.startswith("/") or ".." in path.split("/") or path in seen:
            raise ConfigurationError(f"expected files of its own folder alone, each once, found {member.name!r}")
        if member.isfile():
            seen.add(path)
        yield member


def _path(member: tarfile.TarInfo) -> str:
    return str(PurePosixPath(member.name))


def _extract(archive: tarfile.TarFile, members: Iterator[tarfile.TarInfo], folder: str) -> None:
    # The first releases of Python 3.10 and 3.11 have no filters; then it is ours alone that sees to it.
    options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    archive.extractall(folder, members, **options)


def _check_config(folder: str, overrides: str, trust: Trust) -> None:
    path = os.path.join(folder, CONFIG_NAME)
    if trust.everybody or not os.path.exists(path):
        return
    config = Params.from_file(path, overrides).as_dict(quiet=True)
    # These are for the training that is over.
    settings = {key: value for key, value in config.items() if key != "trainer" and not key.endswith("_data_path")}
    for place, value in _settings(settings):
        key = place.rpartition(".")[2]
        if key == "trust_remote_code" and value and "transformers" not in trust.packages:
            raise ConfigurationError(f"expected no code of transformers from elsewhere, found {place}; {_HOW_TO_TRUST}")
        if key == "archive_file" and isinstance(value, str):  # another one, which the framework loads
            with suppress(OSError, EOFError, tarfile.TarError):
                check_archive(value, "", trust)
        if isinstance(value, str) and _may_be_code(value, key) and not _is_trusted(value, trust):
            expected = f"a class of {', '.join(_PACKAGES[:-1])} or {_PACKAGES[-1]}"
            raise ConfigurationError(f"expected {expected} at {place}, found '{value}'; {_HOW_TO_TRUST}")


def _settings(settings: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """All values, at any depth, and where they are."""
    if isinstance(settings, (dict, list)):
        for key, value in settings.items() if isinstance(settings, dict) else enumerate(settings):
            yield from _settings(value, f"{place}.{key}" if place else str(key))
    else:
        yield place, settings


def _may_be_code(name: str, key: str) -> bool:
    """Whether the framework may take a text for the name of a class: where it expects one, also without a `type`."""
    if "." not in name or any(name in names for names in Registrable._registry.values()):
        return False
    return key == "type" or (all(map(str.isidentifier, name.split("."))) and _is_importable(name.split(".")[0]))


def _is_importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # of the main program
        return True


def _is_trusted(name: str, trust: Trust) -> bool:
    if _is_in(name, trust.packages):
        return True
    if not _is_in(name, _PACKAGES):
        return False
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError):
        return True  # The framework says that there is none.
    if not isinstance(found, type) or not issubclass(found, _KINDS):
        return False
    home = f"{found.__module__}."
    return _is_in(home, _PACKAGES) and (_is_in(home, _METRICS) or not _is_in(home, _OF_TRAININGS))


def _is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{package}.") for package in packages)
