"""One training of a sweep, which leaves nothing behind but its folder."""

import gc
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from allennlp.commands.train import TrainModel
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.logging import prepare_global_logging
from allennlp.common.meta import META_NAME, Meta
from allennlp.common.util import prepare_environment
from allennlp.models.archival import CONFIG_NAME, archive_model, verify_include_in_archive
from allennlp.training import TrainerCallback
from allennlp.training.util import create_serialization_dir

from spigot_allennlp.framework.bad_input import explain, explained
from spigot_allennlp.framework.bad_input.settings import fault_of_file, fault_of_setting

logger = logging.getLogger(__name__)


def check_trainable(params: Params, metric: str) -> None:
    """
    Builds all that a config describes, and gives the model a batch.

    # Raises

    `ConfigurationError`, if the config or the data are to blame that it fails, or the model does not report the metric.
    Any other error is raised as it is.
    """
    with tempfile.TemporaryDirectory() as folder, _isolated(Path(folder)):
        try:
            training = _build(params, Path(folder))
            training.model.eval()
            with torch.no_grad():
                training.trainer.batch_outputs(next(iter(training.trainer.data_loader)), for_training=False)
            reported = {"loss", *training.model.get_metrics(reset=True)}
        except Exception as error:
            explanation = explain(error)
            if explanation is None:
                raise
            raise ConfigurationError(f"the config cannot be trained: {explanation}") from error
    if metric not in reported:
        raise ConfigurationError(f"the model does not report {metric}, but {', '.join(sorted(reported))}")


def train(params: Params, folder: Path, callback: TrainerCallback | None = None) -> dict[str, Any]:
    """
    Does what `allennlp train` does.

    # Parameters

    params : `Params`
    folder : `Path`
        The serialization directory. It also gets what would be printed, in `out.log`.
    callback : `TrainerCallback`, optional (default = `None`)
        One more than the config has.

    # Returns

    The metrics, as in `metrics.json`.
    """
    create_serialization_dir(params, folder, recover=False, force=False)
    params.to_file(str(folder / CONFIG_NAME))
    Meta.new().to_file(folder / META_NAME)
    with _isolated(folder):
        try:
            include_in_archive = params.pop("include_in_archive", None)
            verify_include_in_archive(include_in_archive)
            training = _build(params, folder)
            if callback is not None:
                training.trainer._callbacks.append(callback)
            metrics = training.run()
            training.finish(metrics)
            archive_model(folder, include_in_archive=include_in_archive)
        except Exception:
            logger.exception("The training ended early.")
            raise
    return metrics


def describe(error: Exception) -> str:
    """An error in one line."""
    return explain(error) or " ".join(f"{type(error).__name__}: {error}".split())


def _build(params: Params, folder: Path) -> TrainModel:
    params.pop("evaluation", None)
    settings = params.duplicate().as_dict(quiet=True)
    prepare_environment(params)
    with explained(Exception, by=lambda error: fault_of_setting(error, settings) or fault_of_file(error, settings)):
        return TrainModel.from_params(params=params, serialization_dir=folder, local_rank=0)


@contextmanager
def _isolated(folder: Path) -> Iterator[None]:
    """Logs go to the folder's `out.log` alone, and afterwards where they went before."""
    # What the training before has left.
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    loggers = [logging.getLogger(), logging.getLogger("tqdm")]
    before = [(changed, changed.level, changed.handlers[:]) for changed in loggers]
    excepthook = sys.excepthook
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        prepare_global_logging(folder)
        try:
            yield
        finally:
            for handler in loggers[0].handlers:
                handler.close()
            for changed, level, handlers in before:
                changed.setLevel(level)
                changed.handlers[:] = handlers
            sys.excepthook = excepthook
