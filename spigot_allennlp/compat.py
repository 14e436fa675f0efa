"""
Repairs to AllenNLP 2.10.1: where a library of today has moved on, and where a killed training could not be recovered.
Each is made only where a test shows that it is needed, and touches only what this package uses or documents.
"""

import functools
import inspect
import io
import logging
import os
import pickle
import secrets
import zipfile
from pathlib import Path

import numpy
import torch
from allennlp.common import cached_transformers
from allennlp.common.file_utils import hardlink_or_copy
from allennlp.training import Checkpointer, GradientDescentTrainer
from allennlp.training.callbacks import WandBCallback
from allennlp.training.learning_rate_schedulers import ReduceOnPlateauLearningRateScheduler
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


def repair() -> None:
    """Makes the repairs that are needed."""
    if not _tokenizers_take_add_special_tokens():
        cached_transformers.get_tokenizer = _without_add_special_tokens(cached_transformers.get_tokenizer)
    if not _numpy_scalars_can_be_loaded():
        torch.serialization.add_safe_globals(_NUMPY_SCALAR)
    if not _reduce_on_plateau_takes_verbose():
        scheduler = ReduceOnPlateauLearningRateScheduler
        scheduler.__init__ = _without_verbose(scheduler.__init__)
    # Whether these are needed shows only when they are called: they test it there, and do nothing where they are not.
    WandBCallback.on_start = _with_run_id(WandBCallback.on_start)
    Checkpointer.load_checkpoint = _without_half_written(Checkpointer.load_checkpoint)
    GradientDescentTrainer._maybe_restore_checkpoint = _with_best_weights(
        GradientDescentTrainer._maybe_restore_checkpoint
    )


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
    write again: it is deleted, and the one before it is loaded.
    """

    @functools.wraps(load_checkpoint)
    def repaired(self):
        # PyTorch's files are zip archives, whose last bytes are what makes them one.
        while (paths := self.find_latest_checkpoint()) and not all(map(zipfile.is_zipfile, paths)):
            logger.warning("The checkpoint %s is incomplete and is deleted.", paths[0])
            for path in paths:
                Path(path).unlink(missing_ok=True)  # in distributed training another worker may have been faster
        return load_checkpoint(self)

    return repaired


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
