"""A study that any number of processes can work on, and that survives them."""

import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy
import optuna
from allennlp.common.checks import ConfigurationError
from allennlp.training import TrainerCallback
from filelock import FileLock, Timeout
from optuna.pruners import MedianPruner, NopPruner
from optuna.samplers import GPSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from overrides import overrides
from sqlalchemy.exc import DatabaseError, OperationalError

from spigot_allennlp.tuning._report import (
    ERROR,
    best_trial,
    format_settings,
    format_table,
    is_interrupted,
    table,
    write_report,
)
from spigot_allennlp.tuning._search_space import SearchSpace
from spigot_allennlp.tuning.config import Metric, TunedConfig
from spigot_allennlp.tuning.training import check_trainable, describe, train

logger = logging.getLogger(__name__)

SAMPLERS = {"tpe": TPESampler, "random": RandomSampler, "gp": GPSampler}
PRUNERS = {"median": MedianPruner, "none": NopPruner}
_DATABASE = "study.db"
_LOCK = "study.lock"
_RETRIES = "retries"
_MAX_RETRIES = 2


class Sweep:
    """
    Trials of settings, each of which is a training in a folder of its own.

    The state of a sweep is an SQLite study in its folder. A process holds a lock while a trial is running in it, so a
    trial that is running without a lock was killed; its settings are then tried again, at most twice.

    # Parameters

    folder : `Path`
        Has `study.db`, `trial-0`, `trial-1`, … and the reports. It must not exist, or be that of the same sweep.
    study_name : `str`
    config : `TunedConfig`
    space : `SearchSpace`
    sampler : `str`, optional (default = `"tpe"`)
        One of `SAMPLERS`.
    seed : `int`, optional (default = `0`)
        Of the sampler. The settings of a trial depend on it, on how many were drawn before and, unless the sampler is
        `random`, on their results; not on which process draws them.
    pruner : `str`, optional (default = `"median"`)
        One of `PRUNERS`; decides after each epoch whether a trial goes on.
    keep_best_only : `bool`, optional (default = `False`)
        Whether weights and archives of all trials but the best are deleted.

    # Raises

    `ConfigurationError`, if a setting is unknown, the config cannot be trained or does not report the metric, or the
    folder has something else; nothing is written then.
    """

    def __init__(
        self,
        folder: Path,
        study_name: str,
        config: TunedConfig,
        space: SearchSpace,
        sampler: str = "tpe",
        seed: int = 0,
        pruner: str = "median",
        keep_best_only: bool = False,
    ) -> None:
        _check_name("sampler", sampler, SAMPLERS)
        _check_name("pruner", pruner, PRUNERS)
        if seed < 0:
            raise ConfigurationError(f"expected a seed of at least 0, found {seed}")
        config.check(space.distributions)
        self._folder = folder
        self._config = config
        self._space = space
        self._sampler = SAMPLERS[sampler]
        self._seed = numpy.random.SeedSequence(seed).entropy
        self._keep_best_only = keep_best_only
        self._lock = FileLock(folder / _LOCK)
        if not (folder / _DATABASE).exists():
            if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - {_LOCK}):
                raise ConfigurationError(f"{folder} is neither a new folder nor that of a study")
            check_trainable(config.resolve({}), config.metric.name)
            make_folder(folder)
        with self._lock:
            self.study = self._open_study(study_name, PRUNERS[pruner]())

    def run(self, num_trials: int, timeout: float | None = None) -> None:
        """
        Tries settings, until so many trials have ended or are running, in whatever process.

        # Parameters

        num_trials : `int`
        timeout : `float`, optional (default = `None`)
            After so many seconds no trial is started.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while time.monotonic() < deadline and self.run_one(num_trials):
            pass

    def run_one(self, num_trials: int) -> bool:
        """Tries one setting, unless so many trials have ended or are running; whether it did."""
        started = self._start_trial(num_trials)
        if started is None:
            return False
        trial, lock = started
        try:
            self._try(trial)
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
        return True

    def has_ended(self, num_trials: int) -> bool:
        """Whether so many trials have ended, in whatever process."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(trial.state.is_finished() and not is_interrupted(trial) for trial in trials) >= num_trials

    def best_settings(self) -> dict[str, Any]:
        """
        The settings of the best trial, as the config takes them. Raises a `ConfigurationError` that has the error of a
        trial, if none is complete.
        """
        trials = self.study.get_trials(deepcopy=False)
        best = best_trial(trials, self._config.metric)
        if best is None:
            error = next((trial.user_attrs[ERROR] for trial in trials if ERROR in trial.user_attrs), "none was begun")
            raise ConfigurationError(f"{self._folder} has no complete trial: {error}")
        return self._space.values(best.params)

    def write_report(self) -> str:
        """
        Writes the table and the picture of the trials, and the config of the best of them, into the folder, and returns
        the table as text.
        """
        with self._lock:
            write_report(self.study, self._space, self._config.metric, self._folder)
            return format_table(table(self.study, self._space, self._config.metric), self._config.metric)

    def _open_study(self, name: str, pruner: optuna.pruners.BasePruner) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        database = self._folder / _DATABASE
        try:
            storage = RDBStorage(f"sqlite:///{database}", engine_kwargs={"connect_args": {"timeout": 60}})
            names = optuna.get_all_study_names(storage)
            if names and names != [name]:
                raise ConfigurationError(f"{self._folder} has the study {names[0]}, expected {name}")
            direction = "maximize" if self._config.metric.maximise else "minimize"
            study = optuna.create_study(
                study_name=name, storage=storage, direction=direction, pruner=pruner, load_if_exists=True
            )
        except OperationalError as error:  # such as a lock or a disk that is full: it says nothing of what the file is
            raise ConfigurationError(f"{database}: {error.orig}") from error.orig
        except DatabaseError as error:
            raise ConfigurationError(f"{database} is not the database of a study: {error.orig}") from error.orig
        given = {
            "metric": self._config.metric._asdict(),
            "search space": self._space.description,
            "config": self._config.base,
        }
        for name, value in given.items():
            if name not in study.user_attrs:
                study.set_user_attr(name, value)
            elif study.user_attrs[name] != value:
                raise ConfigurationError(f"{self._folder} has a study of another {name}")
        return study

    def _start_trial(self, num_trials: int) -> tuple[Trial, FileLock] | None:
        with self._lock:
            self._retry_killed()
            trials = self.study.get_trials(deepcopy=False)
            if sum(trial.state != TrialState.WAITING and not is_interrupted(trial) for trial in trials) >= num_trials:
                return None
            # The state of a sampler's generator is lost with its process, so each trial has a generator of its own.
            num_drawn = sum(_RETRIES not in trial.user_attrs for trial in trials)
            (seed,) = numpy.random.SeedSequence(self._seed, spawn_key=(num_drawn,)).generate_state(1)
            self.study.sampler = self._sampler(seed=int(seed))
            trial = self.study.ask(self._space.distributions)
            lock = self._trial_lock(trial.number)
            lock.acquire(timeout=0)
            return trial, lock

    def _retry_killed(self) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            lock = self._trial_lock(trial.number)
            try:
                with lock.acquire(timeout=0):
                    if self.study.trials[trial.number].state == TrialState.RUNNING:  # it has not ended just now
                        logger.warning("trial %d was killed", trial.number)
                        self._retry(trial, trial.user_attrs.get(_RETRIES, 0) + 1)
                Path(lock.lock_file).unlink(missing_ok=True)
            except Timeout:  # another process is busy with it
                continue

    def _retry(self, trial: Trial | FrozenTrial, retries: int) -> None:
        if retries <= _MAX_RETRIES:
            self.study.enqueue_trial(trial.params, user_attrs={_RETRIES: retries})
        self.study.tell(trial.number, state=TrialState.FAIL)

    def _try(self, trial: Trial) -> None:
        logger.info("trial %d: %s", trial.number, format_settings(trial.params))
        folder = self._folder / f"trial-{trial.number}"
        metric = self._config.metric
        try:
            params = self._config.resolve(self._space.values(trial.params))
            metrics = train(params, folder, _EpochReports(folder, trial, metric))
        except optuna.TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
            logger.info("trial %d: pruned", trial.number)
        except KeyboardInterrupt:
            self._retry(trial, trial.user_attrs.get(_RETRIES, 0))
            raise
        except Exception as error:
            trial.set_user_attr(ERROR, describe(error))
            self.study.tell(trial, state=TrialState.FAIL)
            logger.warning("trial %d: failed, %s", trial.number, describe(error))
        else:
            value = metrics[f"best_validation_{metric.name}"]  # of the epoch whose weights are in the archive
            self.study.tell(trial, value)
            best = best_trial(self.study.get_trials(deepcopy=False), metric)
            message = "trial %d: %s %.4g (best: %.4g, trial %d)"
            logger.info(message, trial.number, metric.name, value, best.value, best.number)
        if self._keep_best_only:
            self._delete_weights()

    def _delete_weights(self) -> None:
        with self._lock:
            trials = self.study.get_trials(deepcopy=False)
            # Of the trials as they were read: another process may tell a better one at any time.
            best = best_trial(trials, self._config.metric)
            for trial in trials:
                if trial.state.is_finished() and trial is not best:
                    folder = self._folder / f"trial-{trial.number}"
                    for path in [*folder.glob("*.th"), folder / "model.tar.gz"]:
                        path.unlink(missing_ok=True)

    def _trial_lock(self, number: int) -> FileLock:
        return FileLock(self._folder / f"trial-{number}.lock")


def make_folder(folder: Path) -> None:
    """Makes a folder, unless it is there. Raises a `ConfigurationError` if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"expected a folder that can be made, found {folder}: {error}") from error


def _check_name(kind: str, name: str, known: dict[str, Any]) -> None:
    if name not in known:
        raise ConfigurationError(f"expected a {kind} that is one of {', '.join(known)}, found {name}")


class _EpochReports(TrainerCallback):
    """Tells the study the metric after each epoch, and ends the training if the study prunes it."""

    def __init__(self, folder: Path, trial: Trial, metric: Metric) -> None:
        super().__init__(str(folder))
        self._trial = trial
        self._metric = metric

    @overrides
    def on_epoch(self, trainer: Any, metrics: dict[str, Any], epoch: int, is_primary: bool = True, **kwargs) -> None:
        value = metrics[f"validation_{self._metric.name}"]
        if not math.isfinite(value):
            raise ValueError(f"{self._metric.name} is {value} after epoch {epoch}")
        self._trial.report(value, epoch)
        if epoch + 1 < trainer._num_epochs and self._trial.should_prune():
            raise optuna.TrialPruned
