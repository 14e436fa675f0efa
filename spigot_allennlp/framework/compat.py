"""
Repairs to AllenNLP 2.10.1: where a library of today has moved on, where a killed training could not be recovered, and
where several processes train together. Each is made only where a test shows that it is needed or, where no quick test
could, for AllenNLP 2.10.1 alone. They touch only what this package uses or documents.
"""

import contextlib
import functools
import inspect
import io
import json
import logging
import os
import pickle
import secrets
import shutil
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import torch
from allennlp.commands import train
from allennlp.commands.train import TrainModel
from allennlp.common import Params, cached_transformers, util
from allennlp.common.checks import ConfigurationError
from allennlp.common.file_utils import hardlink_or_copy
from allennlp.data import Vocabulary
from allennlp.data.samplers import MaxTokensBatchSampler
from allennlp.nn.parallel import TorchDdpAccelerator
from allennlp.training import Checkpointer, GradientDescentTrainer, gradient_descent_trainer
from allennlp.training.callbacks import MixedPrecisionBackwardCallback, WandBCallback
from allennlp.training.learning_rate_schedulers import ReduceOnPlateauLearningRateScheduler
from allennlp.training.metrics import Metric
from allennlp.training.util import create_serialization_dir
from allennlp.version import VERSION
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import PreTrainedTokenizerBase

from spigot_allennlp.framework.bad_input import comes_from, explain
from spigot_allennlp.framework.recover import RecoverCallback
from spigot_allennlp.surrogates import StructuredArgmax
from spigot_allennlp.training.metrics import CountingMetric

logger = logging.getLogger(__name__)


def repair() -> None:
    """Makes the repairs that are needed, once however often it is called."""
    if not _tokenizers_take_add_special_tokens():
        _wrap(cached_transformers, "get_tokenizer", _without_add_special_tokens)
    if not _numpy_scalars_can_be_loaded():
        torch.serialization.add_safe_globals(_NUMPY_SCALAR)
    if not _reduce_on_plateau_takes_verbose():
        _wrap(ReduceOnPlateauLearningRateScheduler, "__init__", _without_verbose)
    if not _scaled_losses_are_averaged():
        _wrap(MixedPrecisionBackwardCallback, "on_backward", _with_average)
    _wrap(WandBCallback, "on_start", _with_run_id)  # tests when it is called, not to import wandb here
    if VERSION != "2.10.1":  # whether another needs the rest would take a training, or a kill, to tell
        return
    _wrap(Checkpointer, "load_checkpoint", _without_half_written)
    _wrap(GradientDescentTrainer, "_maybe_restore_checkpoint", _with_best_weights)
    if RecoverCallback not in gradient_descent_trainer.DEFAULT_CALLBACKS:
        gradient_descent_trainer.DEFAULT_CALLBACKS += (RecoverCallback,)
    _wrap(Params, "to_file", _whole_or_not_at_all)
    _wrap(train, "train_model", _without_remains)
    _wrap(MaxTokensBatchSampler, "_lazy_groups_of_max_size", _without_empty)
    _wrap(Vocabulary, "save_to_files", _with_counts_saved)
    _wrap(Vocabulary, "from_files", _with_counts_read)
    _wrap(GradientDescentTrainer, "_validation_loss", _with_whole_shards)
    _wrap(TorchDdpAccelerator, "wrap_model", _with_unused_parameters)
    _wrap(TrainModel, "finish", _without_lonely_test)


def _wrap(owner: Any, name: str, repair: Callable[[Callable], Callable]) -> None:
    original = inspect.getattr_static(owner, name)
    function = original.__func__ if isinstance(original, classmethod) else original
    if getattr(function, "_repair", None) is repair:
        return
    repaired = repair(function)
    repaired._repair = repair
    setattr(owner, name, classmethod(repaired) if isinstance(original, classmethod) else repaired)


def _tokenizers_take_add_special_tokens() -> bool:
    """Newer tokenizers refuse an argument that is named like one of their methods, and AllenNLP gives them this one."""
    try:
        PreTrainedTokenizerBase(add_special_tokens=False)
    except AttributeError:
        return False
    return True


def _without_add_special_tokens(get_tokenizer):
    """Without the argument nothing changes: AllenNLP repeats it in every call that tokenizes."""

    @functools.wraps(get_tokenizer)
    def repaired(model_name: str, add_special_tokens: bool = True, **kwargs):
        return get_tokenizer(model_name, **kwargs)

    return repaired


# What the pickle of a 64-bit number of NumPy's refers to.
_NUMPY_SCALAR = [numpy.float64().__reduce__()[0], numpy.dtype, type(numpy.dtype(numpy.float64))]


def _numpy_scalars_can_be_loaded() -> bool:
    """`torch.load` takes only types that it knows, and the scheduler "cosine" leaves such numbers in checkpoints."""
    file = io.BytesIO()
    torch.save(numpy.float64(), file)
    file.seek(0)
    try:
        torch.load(file)
    except pickle.UnpicklingError:
        return False
    return True


def _reduce_on_plateau_takes_verbose() -> bool:
    return "verbose" in inspect.signature(ReduceLROnPlateau).parameters


def _without_verbose(init):
    """AllenNLP always passes `verbose`, which made PyTorch print what a callback logs."""

    @functools.wraps(init)
    def repaired(self, optimizer, *, verbose: bool = False, **settings):
        super(ReduceOnPlateauLearningRateScheduler, self).__init__(ReduceLROnPlateau(optimizer, **settings))

    return repaired


def _with_run_id(on_start):
    """Newer wandb has no `util.generate_id`, which AllenNLP calls where a run has no id yet."""

    @functools.wraps(on_start)
    def repaired(self, trainer, is_primary: bool = True, **kwargs):
        if is_primary and self._run_id is None:
            import wandb

            if not hasattr(wandb.util, "generate_id"):
                self._run_id = secrets.token_hex(4)
        on_start(self, trainer, is_primary=is_primary, **kwargs)

    return repaired


def _without_half_written(load_checkpoint):
    """
    A process that is killed while it writes leaves a checkpoint that AllenNLP can neither load nor, once it is there,
    write again: it is put aside, and the one before it is loaded.
    """

    @functools.wraps(load_checkpoint)
    def repaired(self):
        while (paths := self.find_latest_checkpoint()) and not all(map(_is_whole, paths)):
            logger.warning("The checkpoint %s is incomplete and is put aside.", paths[0])
            for path in reversed(paths):  # the weights, by which it is found, last
                with contextlib.suppress(FileNotFoundError):  # in distributed training another worker may be faster
                    Path(path).replace(f"{path}.incomplete")
        checkpoint = load_checkpoint(self)
        _check_same_point_everywhere(paths)
        return checkpoint

    return repaired


def _is_whole(path: str) -> bool:
    """An `OSError` says nothing of what the file holds, and gets out."""
    try:
        with open(path, "rb") as file:
            # PyTorch's files are zip archives, whose last bytes are what makes them one.
            return zipfile.is_zipfile(file)
    except FileNotFoundError:  # killed between the two files
        return False


def _check_same_point_everywhere(paths) -> None:
    """Workers on several machines have checkpoints of their own. From unlike ones they would wait for each other."""
    if not util.is_distributed():
        return
    name = Path(paths[0]).name if paths else "none"
    names = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(names, name)
    if len(set(names)) > 1:
        raise ConfigurationError(
            f"expected the same latest checkpoint on all machines, found {', '.join(sorted(set(names)))}: "
            "remove the later ones"
        )


def _with_best_weights(restore):
    """
    AllenNLP writes the checkpoint of an epoch before it notes that the epoch was the best and before best.th gets its
    weights. A training that continues from there could end with another epoch's weights, or none.
    """

    @functools.wraps(restore)
    def repaired(self):
        restore(self)
        at_end_of_epoch = self._start_after_epochs_completed > 0 and self._start_after_batches_in_epoch_completed == 0
        if not at_end_of_epoch or not self._metric_tracker.is_best_so_far():
            return
        # Averaged weights and shards are not what a checkpoint holds, and this package uses neither.
        if self._moving_average is not None or self._checkpointer.state_is_sharded:
            return
        self._best_model_filename = os.path.join(self._serialization_dir, "best.th")
        if self._primary:
            weights, _ = self._checkpointer.find_latest_checkpoint()
            Path(self._best_model_filename).unlink(missing_ok=True)
            hardlink_or_copy(weights, self._best_model_filename)

    return repaired


def _whole_or_not_at_all(to_file):
    """AllenNLP writes config.json again when a training is recovered, and cannot recover one that has half of it."""

    @functools.wraps(to_file)
    def repaired(self, params_file, *args, **kwargs) -> None:
        with _replaced_when_whole(params_file) as unfinished:
            to_file(self, unfinished, *args, **kwargs)

    return repaired


@contextlib.contextmanager
def _replaced_when_whole(file: str | os.PathLike[str]) -> Iterator[Path]:
    """A name to write to, which no other process has, and which then becomes that of the file."""
    unfinished = Path(f"{file}.unfinished{os.getpid()}")
    yield unfinished
    unfinished.replace(file)


def _scaled_losses_are_averaged() -> bool:
    """Of a group of accumulated batches AllenNLP averages the losses, but with a gradient scaler it sums them."""
    loss = torch.ones((), requires_grad=True)
    scaler = types.SimpleNamespace(scale=lambda scaled: scaled)
    trainer = types.SimpleNamespace(_scaler=scaler, _num_gradient_accumulation_steps=2)
    MixedPrecisionBackwardCallback("").on_backward(trainer, {"loss": loss}, False)
    return loss.grad.item() == 0.5


def _with_average(on_backward):
    """The last group of an epoch, which may be smaller, is averaged as if it were not."""

    @functools.wraps(on_backward)
    def repaired(self, trainer, batch_outputs, backward_called: bool, **kwargs) -> bool:
        loss = batch_outputs["loss"] / trainer._num_gradient_accumulation_steps
        return on_backward(self, trainer, {**batch_outputs, "loss": loss}, backward_called, **kwargs)

    return repaired


_COUNTS_FILE = ".counts.json"  # the framework passes over names that begin with a dot


def _with_counts_saved(save_to_files):
    """
    How often each token occurs, which word dropout needs, is lost where a vocabulary is saved; and the workers of a
    distributed training, and a recovered training, know only the saved one.
    """

    @functools.wraps(save_to_files)
    def repaired(self, directory) -> None:
        save_to_files(self, directory)
        if self._retained_counter:
            with _replaced_when_whole(Path(directory) / _COUNTS_FILE) as unfinished:
                unfinished.write_text(json.dumps(self._retained_counter), encoding="utf-8")

    return repaired


def _with_counts_read(from_files):
    @functools.wraps(from_files)
    def repaired(cls, directory, *args, **kwargs):
        vocabulary = from_files(cls, directory, *args, **kwargs)
        file = Path(directory) / _COUNTS_FILE
        if file.exists():
            vocabulary._retained_counter = json.loads(file.read_text(encoding="utf-8"))
        return vocabulary

    return repaired


def _with_whole_shards(validation_loss):
    """
    In distributed validation AllenNLP stops all workers when one has no batch left, and the sentences that others still
    have are in no figure. Where all metrics count alone, nothing in validation needs the other workers.
    """

    @functools.wraps(validation_loss)
    def repaired(self, epoch: int):
        wrapper = self._ddp_wrapped_model
        if not self._distributed or wrapper.is_sharded or not _counts_alone(self.model):
            return validation_loss(self, epoch)
        self._ddp_wrapped_model, self._distributed = None, False
        try:
            return validation_loss(self, epoch)
        finally:
            self._ddp_wrapped_model, self._distributed = wrapper, True

    return repaired


def _counts_alone(model: torch.nn.Module) -> bool:
    attributes = [attribute for module in model.modules() for attribute in vars(module).values()]
    for container in [attribute for attribute in attributes if isinstance(attribute, (dict, list, tuple))]:
        attributes += container.values() if isinstance(container, dict) else container
    metrics = [attribute for attribute in attributes if isinstance(attribute, Metric)]
    return bool(metrics) and all(isinstance(metric, CountingMetric) for metric in metrics)


def _with_unused_parameters(wrap_model):
    """
    Distributed training aborts where a batch leaves parameters without a gradient, unless it is told to look for them:
    batches of one kind train one stage only, and the rule "pipeline" passes no gradient.
    """

    @functools.wraps(wrap_model)
    def repaired(self, model):
        if any(isinstance(module, StructuredArgmax) for module in model.modules()):
            self._ddp_kwargs["find_unused_parameters"] = True
        return wrap_model(self, model)

    return repaired


def _without_lonely_test(finish):
    """
    With `evaluate_on_test`, AllenNLP's first worker evaluates its own part of the test data, and waits in vain for the
    metrics of the others.
    """

    @functools.wraps(finish)
    def repaired(self, metrics) -> None:
        if util.is_distributed() and self.evaluate_on_test:
            logger.warning("evaluate_on_test needs one process; run `allennlp evaluate` on the archive instead.")
            self.evaluate_on_test = False
        finish(self, metrics)

    return repaired


_WRITTEN_BEFORE_TRAINING = (
    "config.json",
    "config.json.unfinished*",
    "meta.json",
    "out.log",
    "out_worker*.log",
    "vocabulary",
    "log",
)


def _without_remains(train_model):
    """
    A training that bad input stops leaves a directory that AllenNLP refuses to train into again. What it has written
    before it trains is removed, unless an error is left to look into: one that bad input does not explain.
    """

    @functools.wraps(train_model)
    def repaired(params, serialization_dir, *args, **kwargs):
        output = Path(serialization_dir)
        was_there = output.is_dir()
        if was_there and any(output.iterdir()):  # which is refused, recovered from or, with --force, given up
            return train_model(params, serialization_dir, *args, **kwargs)
        try:
            return train_model(params, serialization_dir, *args, **kwargs)
        except Exception as error:
            refused = comes_from(error, create_serialization_dir)
            has_trained = comes_from(error, TrainModel.run, TrainModel.finish) or any(output.glob("*.th"))
            if not refused and not has_trained and explain(error) is not None:
                _remove_remains(output)
                if not was_there:
                    with contextlib.suppress(OSError):  # something else has been put there
                        output.rmdir()
            raise

    return repaired


def _remove_remains(output: Path) -> None:
    for pattern in _WRITTEN_BEFORE_TRAINING:
        for path in output.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _without_empty(groups_of_max_size):
    """AllenNLP puts an empty batch, which it cannot read, before a first sentence that is too long for any batch."""

    @functools.wraps(groups_of_max_size)
    def repaired(self, *args, **kwargs):
        if self.max_tokens < 1:
            raise ConfigurationError(f"max_tokens must be at least 1, but is {self.max_tokens}")
        return filter(None, groups_of_max_size(self, *args, **kwargs))

    return repaired
