import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy
import torch
import torch.distributed as dist
from allennlp.common.util import is_distributed
from allennlp.data import DataLoader, TensorDict
from allennlp.training import GradientDescentTrainer
from allennlp.training.callbacks import TrainerCallback

RandomState = dict[str, Any]
"""The states of the generators of Python, NumPy and PyTorch, of types that `torch.load` takes."""


@TrainerCallback.register("spigot_recover")
class RecoverCallback(TrainerCallback):
    """
    Adds to AllenNLP's checkpoints what they leave out: the states of the random generators, and the scale of the
    gradients under `use_amp`. With them, a training that is killed and recovered ends as if it had not been killed.

    In distributed training, a checkpoint has the states of all workers at the ends of the epochs, but within an epoch
    that of the first alone: there, the dropout of the others is another one.

    Registered as a `TrainerCallback` with name "spigot_recover". The trainer "spigot" has it without being told.
    """

    def __init__(self, serialization_dir: str) -> None:
        super().__init__(serialization_dir)
        # By number of the epoch, and of the worker: the states in which the epoch began.
        self._epochs: dict[int, list[RandomState]] = {}
        self._recovered: dict[str, Any] = {}

    def on_start(self, trainer: GradientDescentTrainer, is_primary: bool = True, **kwargs) -> None:
        super().on_start(trainer, is_primary, **kwargs)
        if not self._recovered:
            self._epochs[0] = self._states_of_workers()
            return
        self._epochs = self._recovered["epochs"]
        trainer.data_loader = _FastForward(trainer, self._epochs, self._recovered["now"])
        if trainer._scaler is not None and self._recovered["scaler"]:
            trainer._scaler.load_state_dict(self._recovered["scaler"])
        if trainer._metric_tracker.should_stop_early():
            # It was killed after its last epoch. The trainer would ask this only after one more.
            trainer._num_epochs = trainer._start_after_epochs_completed

    def on_epoch(
        self,
        trainer: GradientDescentTrainer,
        metrics: dict[str, Any],
        epoch: int,
        is_primary: bool = True,
        **kwargs,
    ) -> None:
        self._epochs[epoch + 1] = self._states_of_workers()

    def on_end(
        self,
        trainer: GradientDescentTrainer,
        metrics: Optional[dict[str, Any]] = None,
        epoch: Optional[int] = None,
        is_primary: bool = True,
        **kwargs,
    ) -> None:
        if metrics is not None and "epoch" not in metrics and trainer._epochs_completed:
            # No epoch was left to train, and the trainer knows the metrics of the best one alone.
            last = Path(self.serialization_dir) / f"metrics_epoch_{trainer._epochs_completed - 1}.json"
            metrics.update(json.loads(last.read_text()))

    def state_dict(self) -> dict[str, Any]:
        scaler = self.trainer._scaler
        return {
            "epochs": self._epochs,
            "now": get_random_state(self.trainer.cuda_device),
            "scaler": scaler.state_dict() if scaler is not None else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._recovered = state_dict

    def _states_of_workers(self) -> list[RandomState]:
        state = get_random_state(self.trainer.cuda_device)
        if not is_distributed():
            return [state]
        states = [None] * dist.get_world_size()
        dist.all_gather_object(states, state)
        return states


class _FastForward:
    """
    Stands in for the data loader of a recovered training until it has given the trainer the batches that are done
    already. The trainer drops them, but they are drawn at random, and the later ones depend on them: an epoch is drawn
    from the state in which it began, and goes on in that of the checkpoint.
    """

    def __init__(self, trainer: GradientDescentTrainer, epochs: dict[int, list[RandomState]], now: RandomState) -> None:
        self._trainer = trainer
        self._loader: DataLoader = trainer.data_loader
        self._epochs = epochs
        self._now = now
        self._rank = dist.get_rank() if is_distributed() else 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[TensorDict]:
        epoch = self._trainer._epochs_completed
        # Now, and not with the first batch: where the batches must be made to be counted, `len` comes in between.
        if epoch in self._epochs:  # else the training was begun without the callback
            set_random_state(self._epochs[epoch][self._rank], self._trainer.cuda_device)
        batches = iter(self._loader)
        return batches if epoch < self._trainer._start_after_epochs_completed else self._until_now(batches)

    def _until_now(self, batches: Iterator[TensorDict]) -> Iterator[TensorDict]:
        trainer = self._trainer
        trainer.data_loader = self._loader
        done = trainer._start_after_batches_in_epoch_completed * trainer._num_gradient_accumulation_steps
        yield from itertools.islice(batches, done)
        if done and trainer._primary:  # only a first worker writes checkpoints
            set_random_state(self._now, trainer.cuda_device)
        yield from batches


def get_random_state(device: torch.device) -> RandomState:
    """The states of all generators that a training on `device` may draw from."""
    version, python_words, python_rest = random.getstate()
    algorithm, numpy_words, *numpy_rest = numpy.random.get_state()
    return {
        "python": (version, torch.tensor(python_words), python_rest),
        "numpy": (algorithm, torch.from_numpy(numpy_words.astype(numpy.int64)), *numpy_rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def set_random_state(state: RandomState, device: torch.device) -> None:
    """Puts the generators into a state that `get_random_state` has given."""
    version, python_words, python_rest = state["python"]
    algorithm, numpy_words, *numpy_rest = state["numpy"]
    random.setstate((version, tuple(python_words.tolist()), python_rest))
    numpy.random.set_state((algorithm, numpy_words.numpy(), *numpy_rest))
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)
