"""
Repairs to AllenNLP 2.10.1 where a library of today has moved on. They are all that this package replaces of the
framework, and each is made only where a test of the library shows that it is needed.
"""

import functools
import inspect
import io
import pickle
import secrets
from collections.abc import Callable
from typing import Any

import numpy
import torch
from allennlp.common import cached_transformers
from allennlp.training.callbacks import WandBCallback
from allennlp.training.learning_rate_schedulers import ReduceOnPlateauLearningRateScheduler
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import PreTrainedTokenizerBase


def repair() -> None:
    """Makes the repairs that are needed, once however often it is called."""
    if not _tokenizers_take_add_special_tokens():
        _wrap(cached_transformers, "get_tokenizer", _without_add_special_tokens)
    if not _numpy_scalars_can_be_loaded():
        torch.serialization.add_safe_globals(_NUMPY_SCALAR)
    if not _reduce_on_plateau_takes_verbose():
        _wrap(ReduceOnPlateauLearningRateScheduler, "__init__", _without_verbose)
    _wrap(WandBCallback, "on_start", _with_run_id)  # tests when it is called, not to import wandb here


def _wrap(owner: Any, name: str, repair: Callable[[Callable], Callable]) -> None:
    function = getattr(owner, name)
    if getattr(function, "_repair", None) is not repair:
        repaired = repair(function)
        repaired._repair = repair
        setattr(owner, name, repaired)


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
