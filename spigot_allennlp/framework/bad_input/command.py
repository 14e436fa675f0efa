import argparse
import json
import multiprocessing
import sys
import tarfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from reprlib import repr as shortened
from typing import Any, Optional

import torch
from allennlp.commands import Subcommand
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.file_utils import cached_path, open_compressed
from allennlp.common.params import parse_overrides, with_overrides
from allennlp.common.plugins import LOCAL_PLUGINS_FILENAME, discover_file_plugins

from spigot_allennlp.framework.archive_config import read_config
from spigot_allennlp.framework.archive_safety import Trust, check_archive
from spigot_allennlp.framework.bad_input.archive import load_archive
from spigot_allennlp.framework.bad_input.explanation import explain, naming
from spigot_allennlp.framework.bad_input.files import fault_of_disk, overwritten
from spigot_allennlp.framework.bad_input.settings import fault_of_file, fault_of_setting, names_ours, strings


class Command:
    """
    The `allennlp` command that is running: what its arguments say of the errors that it ends with.

    # Parameters

    arguments : `Sequence[str]`
        After the name of the program.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = list(arguments)
        self.name = self._arguments[0] if self._arguments else ""

    @cached_property
    def options(self) -> dict[str, Any]:
        """What the framework makes of the arguments. None, where it has no such command."""
        if self.name not in Subcommand.list_available():
            return {}
        subcommand = Subcommand.by_name(self.name)
        parser = argparse.ArgumentParser()
        own = subcommand().add_subparser(parser.add_subparsers())
        if subcommand.requires_plugins:
            own.add_argument("--include-package", action="append", default=[])
        return vars(parser.parse_args(self._arguments))

    @cached_property
    def config(self) -> Optional[dict[str, Any]]:
        """The config that is named, or that of the archive. `None`, if there is none that can be read."""
        for overrides in (self.options.get("overrides", ""), ""):  # which may be wrong
            with suppress(Exception):
                if "param_path" in self.options:
                    return Params.from_file(self.options["param_path"], overrides).as_dict(quiet=True)
                if "archive_file" in self.options:
                    return with_overrides(read_config(self.options["archive_file"]), parse_overrides(overrides))
        return None

    @cached_property
    def is_ours(self) -> bool:
        """
        Whether the config names a type of this package, or the command is one of this package. Where no config can be
        read, it is whether this project has asked for the package.
        """
        if self.name.startswith("spigot-"):
            return True
        if self.config is not None:
            return names_ours(self.config)
        plugins = list(self.options.get("include_package", []))
        with suppress(OSError):
            plugins += discover_file_plugins(LOCAL_PLUGINS_FILENAME)
        reads_config = not self.options.keys().isdisjoint({"param_path", "archive_file"})
        return reads_config and any(plugin.partition(".")[0] == "spigot_allennlp" for plugin in plugins)

    @property
    def trust(self) -> Trust:
        """Whose code an archive may name: that of the packages which the user has named."""
        return Trust.by_user(self.options.get("include_package", ()), self.options.get("trust", False))

    def check(self) -> None:
        """
        Raises a `ConfigurationError`, if the command is to write over what it reads, or to load an archive that is not
        to be trusted. That is so of every archive: it says itself whose it is.
        """
        if self.name in ("predict", "evaluate") and (path := overwritten(self.options)) and self.is_ours:
            raise ConfigurationError(f"expected another file for the output than for the input, found {path} for both")
        if self.name in ("predict", "evaluate"):
            archive_file = self.options["archive_file"]
            with naming(archive_file), suppress(FileNotFoundError, EOFError, tarfile.TarError, zlib.error):
                check_archive(archive_file, self.options["overrides"], self.trust)

    def explain(self, error: BaseException) -> Optional[str]:
        """As the function `explain`, of errors in other people's code too."""
        if not isinstance(error, Exception) or not self.is_ours:
            return None
        explanation = explain(error) or fault_of_disk(error, self.options)
        if explanation is not None or getattr(error, "while_training", False):
            return explanation
        faults = (self._device, self._tasks, self._setting, self._json, self._file, self._archive, self._input)
        explanation = next(filter(None, (fault(error) for fault in faults)), None)
        return None if explanation is None else " ".join(explanation.split())

    def _device(self, error: Exception) -> Optional[str]:
        device, num_devices = self.options.get("cuda_device", -1), torch.cuda.device_count()
        if device < num_devices:
            return None
        return f"expected --cuda-device to be one of the {num_devices} GPUs that PyTorch finds, or -1, found {device}"

    def _tasks(self, error: Exception) -> Optional[str]:
        """Of the framework's loader for several tasks."""
        if not isinstance(error, (AttributeError, ValueError)) or self.config is None:
            return None
        if "validation_dataset_reader" in self.config:  # which may have other tasks, or none
            return None
        tasks = self.config.get("dataset_reader", {}).get("readers", {})
        paths = [path for key, path in self.config.items() if key.endswith("_data_path")]
        if self.name == "evaluate":
            paths = [self.options["input_file"]]
            with suppress(json.JSONDecodeError):
                paths = json.loads(f"[{paths[0]}]")
        wrong = [path for path in paths if not isinstance(path, dict) or path.keys() != tasks.keys()]
        if not tasks or not wrong:
            return None
        example = json.dumps({task: "…" for task in tasks}, ensure_ascii=False)
        return f"expected a path for each task, {example}, found {shortened(wrong[0])}"

    def _setting(self, error: Exception) -> Optional[str]:
        settings = [self.config]
        for option in ("overrides", "predictor_args"):
            with suppress(Exception):
                settings.append(parse_overrides(self.options[option]))
        return fault_of_setting(error, settings)

    def _json(self, error: Exception) -> Optional[str]:
        if not isinstance(error, json.JSONDecodeError) or error.doc not in map(str.strip, strings(self.options)):
            return None
        return f"expected JSON, found {shortened(error.doc)}: {error.msg} at line {error.lineno}, column {error.colno}"

    def _file(self, error: Exception) -> Optional[str]:
        # The weights are a part of the archive.
        options = {name: value for name, value in self.options.items() if name != "weights_file"}
        return fault_of_file(error, [options, self.config])

    def _archive(self, error: Exception) -> Optional[str]:
        """An archive that fails when it is loaded again is what failed."""
        if "archive_file" not in self.options:
            return None
        names = ("archive_file", "overrides", "weights_file")
        try:
            load_archive(**{name: self.options[name] for name in names if name in self.options})
        except type(error) as again:
            return explain(again)
        return None

    def _input(self, error: Exception) -> Optional[str]:
        """Of the file to predict on, which the framework reads."""
        if self.name != "predict" or not isinstance(error, (EOFError, UnicodeDecodeError)):
            return None
        name = self.options["input_file"]
        if isinstance(error, EOFError):
            return f"{name}: {error}"
        fault = f"expected UTF-8, found the byte 0x{error.object[error.start]:02x}"
        if name == "-":
            return fault
        with open_compressed(cached_path(name), "rb", encoding=None) as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    line.decode()
                except UnicodeDecodeError:
                    return f"{name}, line {number}: {fault}"
        return None


def running_command() -> Optional[Command]:
    """The `allennlp` command that this program is. `None`, if it is another program, or a process of one."""
    name = "allennlp.__main__"  # which no plugin imports; `python -m allennlp` calls it `__main__`
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    is_one = (name in sys.modules or getattr(spec, "name", None) == name) and multiprocessing.parent_process() is None
    return Command(sys.argv[1:]) if is_one else None


def running_trust() -> Trust:
    """Whose code an archive may name in this program."""
    command = running_command()
    return Trust() if command is None else command.trust
