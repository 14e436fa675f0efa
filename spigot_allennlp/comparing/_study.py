"""A study: methods that are tuned and trained, by any number of processes, and that survive them."""

import json
import logging
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader
from filelock import FileLock, Timeout

from spigot_allennlp.comparing.evaluation import Evaluation, evaluate, read_instances
from spigot_allennlp.comparing.runs import Run, read_log
from spigot_allennlp.framework.whole_file import write_whole
from spigot_allennlp.tuning._search_space import SearchSpace
from spigot_allennlp.tuning._sweep import Sweep, make_folder
from spigot_allennlp.tuning.config import TunedConfig
from spigot_allennlp.tuning.training import check_trainable, describe, train

logger = logging.getLogger(__name__)

_STATE = "study.json"
_LOCK = "study.lock"
_ENDED = "run.json"
_EVALUATION = "evaluation.json"
_POLL = 1.0


class Study:
    """
    Trainings of several methods, each with the same random seeds and, if they are tuned, after a sweep of as many
    trials.

    The state of a study is in its folder: a run that has `run.json` has ended, one that a process is at is locked, and
    any other is to be trained, from its first epoch. A run is ended by an error too; to try it again, delete its
    folder.

    # Parameters

    folder : `Path`
        Has `study.json` and, for each method, a folder with `tuning`, as of `spigot-tune`, and `seed-0`, `seed-1`, …,
        what `allennlp train` writes without its checkpoints. It must not exist, or be that of a study with the same
        configs, to which methods and seeds may come.
    configs : `Mapping[str, TunedConfig]`
        Of each method.
    spaces : `Mapping[str, SearchSpace]`, optional (default = `None`)
        What is tuned of each method.
    num_trials : `int`, optional (default = `0`)
        Of each method.
    data : `str` or `Mapping[str, str]`, optional (default = `None`)
        What the runs are evaluated on; by default the validation data of their config.
    cuda_device : `int`, optional (default = `-1`)
        For that evaluation. Training has that of the config.

    # Raises

    `ConfigurationError`, if a config cannot be trained, a setting cannot be varied, the data cannot be read, or the
    folder has something else; nothing is written then.
    """

    def __init__(
        self,
        folder: Path,
        configs: Mapping[str, TunedConfig],
        spaces: Mapping[str, SearchSpace] | None = None,
        num_trials: int = 0,
        data: str | Mapping[str, str] | None = None,
        cuda_device: int = -1,
    ) -> None:
        self._folder = folder
        self._configs = configs
        self._num_trials = num_trials
        self._cuda_device = cuda_device
        self._data = data
        if spaces is not None:
            for name, config in configs.items():
                config.check(spaces[name].distributions)
        self._lock = FileLock(folder / _LOCK)
        known = self._read_state()
        given = {
            name: {"config": config.base, "space": spaces and spaces[name].description, "trials": num_trials}
            for name, config in configs.items()
        }
        for name in configs:
            if known.get(name, given[name]) != given[name]:
                changed = next(key for key in given[name] if known[name].get(key) != given[name][key])
                raise ConfigurationError(f"{folder} has a study with another {changed} of {name}")
        for name, config in configs.items():
            if data is not None:
                _check_readable(config.base, data)
            if name not in known:
                check_trainable(config.resolve({}), config.metric.name)
        make_folder(folder)
        with self._lock:
            write_whole(folder / _STATE, json.dumps({**self._read_state(), **given}, indent=2))
        self._sweeps: dict[str, Sweep] = {}
        for name in configs if spaces is not None else ():
            place = folder / name / "tuning"
            self._sweeps[name] = Sweep(place, "spigot-compare", configs[name], spaces[name], keep_best_only=True)

    def run(self, num_seeds: int, timeout: float | None = None) -> None:
        """
        Tunes and trains, until nothing is left that no other process is at.

        # Parameters

        num_seeds : `int`
            Runs of each method, in all.
        timeout : `float`, optional (default = `None`)
            After so many seconds no training is started.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while time.monotonic() < deadline:
            if any(sweep.run_one(self._num_trials) for sweep in self._sweeps.values()):
                continue
            claimed = self._claim(num_seeds)
            if claimed is not None:
                self._train(*claimed)
            elif all(self._is_tuned(name) for name in self._configs):
                return
            else:  # other processes are at the last trials
                time.sleep(_POLL)

    def runs(self, num_seeds: int) -> dict[str, list[Run]]:
        """The runs that are complete, of each method, evaluated on the data; a method may have none."""
        found: dict[str, list[Run]] = {name: [] for name in self._configs}
        for name, seed, folder in self._places(num_seeds):
            if "error" not in _read_json(folder / _ENDED, default={"error": None}):
                found[name].append(Run(f"seed {seed}", self._evaluate(name, folder), **read_log(folder)))
        return found

    def notes(self, num_seeds: int) -> list[str]:
        """What is to be said of the runs that are not complete."""
        notes = []
        for name, seed, folder in self._places(num_seeds):
            ended = _read_json(folder / _ENDED)
            if ended is None:
                notes.append(f"{name}, seed {seed}: not trained yet")
            elif "error" in ended:
                notes.append(f"{name}, seed {seed}: failed, {ended['error']}")
        return notes

    def settings(self) -> dict[str, dict[str, Any]]:
        """What was chosen for each method that is tuned, and of which a trial was complete."""
        chosen = {}
        for name, sweep in self._sweeps.items():
            if self._is_tuned(name):
                with suppress(ConfigurationError):  # then its runs have failed with it
                    chosen[name] = sweep.best_settings()
        return chosen

    def _places(self, num_seeds: int) -> Iterator[tuple[str, int, Path]]:
        for seed in range(num_seeds):
            for name in self._configs:
                yield name, seed, self._folder / name / f"seed-{seed}"

    def _is_tuned(self, name: str) -> bool:
        return name not in self._sweeps or self._sweeps[name].has_ended(self._num_trials)

    def _claim(self, num_seeds: int) -> tuple[str, int, Path, FileLock] | None:
        """The next run to train, and its lock."""
        with self._lock:
            for name, seed, folder in self._places(num_seeds):
                if (folder / _ENDED).exists() or not self._is_tuned(name):
                    continue
                folder.parent.mkdir(exist_ok=True)
                lock = _lock_of(folder)
                try:
                    lock.acquire(timeout=0)
                except Timeout:  # another process is at it
                    continue
                if folder.exists():
                    logger.warning("%s, seed %d: was interrupted, begins anew", name, seed)
                    shutil.rmtree(folder)
                return name, seed, folder, lock
        return None

    def _train(self, name: str, seed: int, folder: Path, lock: FileLock) -> None:
        seeds = dict.fromkeys(("random_seed", "numpy_seed", "pytorch_seed"), seed)
        metric = self._configs[name].metric.name
        logger.info("%s, seed %d", name, seed)
        try:
            try:
                settings = self._sweeps[name].best_settings() if name in self._sweeps else {}
                metrics = train(self._configs[name].resolve({**settings, **seeds}), folder)
            except Exception as error:
                ended = {"error": describe(error)}
                logger.warning("%s, seed %d: failed, %s", name, seed, ended["error"])
                folder.mkdir(exist_ok=True)
            else:
                ended = {"settings": settings, "seed": seed}
                logger.info("%s, seed %d: %s %.4g", name, seed, metric, metrics[f"best_validation_{metric}"])
                for checkpoint in folder.glob("*.th"):  # the best weights are in the archive
                    checkpoint.unlink()
            write_whole(folder / _ENDED, json.dumps(ended, indent=2) + "\n")
            if "error" not in ended:
                self._evaluate(name, folder)
        finally:
            with self._lock:  # so that nobody takes a lock whose file is deleted
                lock.release()
                Path(lock.lock_file).unlink(missing_ok=True)

    def _evaluate(self, name: str, folder: Path) -> Evaluation:
        data = self._configs[name].base["validation_data_path"] if self._data is None else self._data
        found = Evaluation.read(folder / _EVALUATION, json.dumps(data))
        if found is None:
            found = evaluate(folder / "model.tar.gz", data, self._cuda_device)
            found.write(folder / _EVALUATION, json.dumps(data))
        return found

    def _read_state(self) -> dict[str, Any]:
        state = _read_json(self._folder / _STATE)
        if state is None:
            if self._folder.exists() and (not self._folder.is_dir() or not all(map(_is_ours, self._folder.iterdir()))):
                raise ConfigurationError(f"{self._folder} is neither a new folder nor that of a study")
            return {}
        return state


def _is_ours(path: Path) -> bool:
    """Whether a file may be there before there is a state."""
    return path.name == _LOCK or fnmatchcase(path.name, f".{_STATE}.*.partial")


def _lock_of(folder: Path) -> FileLock:
    return FileLock(folder.with_name(f"{folder.name}.lock"))


def _read_json(path: Path, default: Any = None) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default


def _check_readable(config: dict[str, Any], data: str | Mapping[str, str]) -> None:
    """Reads the first sentence of what the runs are to be evaluated on."""
    reader = config.get("validation_dataset_reader", config["dataset_reader"])
    next(read_instances(DatasetReader.from_params(Params(reader).duplicate()), data), None)
