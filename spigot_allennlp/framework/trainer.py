import functools
import math
import os
from pathlib import Path
from typing import Any, Optional

import torch
from allennlp.common import Lazy
from allennlp.common.checks import ConfigurationError
from allennlp.common.file_utils import hardlink_or_copy
from allennlp.nn.parallel import TorchDdpAccelerator
from allennlp.training import Checkpointer, GradientDescentTrainer, Trainer
from allennlp.training.callbacks import MixedPrecisionBackwardCallback
from allennlp.training.optimizers import Optimizer
from torch.nn.utils import clip_grad_norm_

from spigot_allennlp.framework.bad_input import explained
from spigot_allennlp.framework.checkpointer import WholeCheckpointer
from spigot_allennlp.framework.distributed import check_test_data, counts_alone, may_leave_parameters
from spigot_allennlp.framework.recover import RecoverCallback


@Trainer.register("spigot", constructor="from_partial_objects")
class SpigotTrainer(GradientDescentTrainer):
    """
    The framework's trainer "gradient_descent", with the same parameters. It differs in this:

    * A training that is killed and recovered ends as if it had not been killed: the checkpoints are those of
      [`WholeCheckpointer`](./checkpointer.md), unless `checkpointer` has another `type`, and
      [`RecoverCallback`](./recover.md) is always there.
    * With several workers, validation covers every sentence where all metrics are a
      [`CountingMetric`](../training/metrics/counting_metric.md); and batches may leave parameters without a gradient
      where the model has a `StructuredArgmax`, unless `distributed` has a `ddp_accelerator`.
    * With `use_amp` and `num_gradient_accumulation_steps`, the losses of a group of batches are averaged, as without
      `use_amp`, and not added up.
    * A group of the optimizer's `parameter_groups` may have a `grad_norm` of its own beside its `lr`. Where one has,
      the trainer's `grad_norm`, which is about all weights together, must not be given.

    Registered as a `Trainer` with name "spigot".
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._check_norms()
        if self._distributed and self._serialization_dir is not None:
            check_test_data(self._serialization_dir)
        if self._scaler is not None:
            self._callbacks.append(AveragedBackward(self._serialization_dir))
        if not any(isinstance(callback, RecoverCallback) for callback in self._callbacks):
            self._callbacks.append(RecoverCallback(self._serialization_dir))

    @classmethod
    @functools.wraps(GradientDescentTrainer.from_partial_objects.__func__)  # whose parameters are those of a config
    def from_partial_objects(
        cls,
        *args,
        checkpointer: Optional[Lazy[Checkpointer]] = Lazy(WholeCheckpointer),
        optimizer: Lazy[Optimizer] = Lazy(Optimizer.default),
        **kwargs,
    ) -> "SpigotTrainer":
        if checkpointer is not None and _type(checkpointer) is None:
            checkpointer = Lazy(WholeCheckpointer, checkpointer._params)
        if (
            kwargs.get("distributed")
            and kwargs.get("ddp_accelerator") is None
            and may_leave_parameters(kwargs["model"])
        ):
            kwargs["ddp_accelerator"] = TorchDdpAccelerator(
                find_unused_parameters=True, cuda_device=kwargs["cuda_device"]
            )
        return super().from_partial_objects(
            *args, checkpointer=checkpointer, optimizer=Lazy(functools.partial(_construct, optimizer)), **kwargs
        )

    def train(self) -> dict[str, Any]:
        try:
            return super().train()
        except BaseException as error:
            error.while_training = True  # so the files it leaves are more than the remains of bad input
            raise

    def _check_norms(self) -> None:
        norms = [group["grad_norm"] for group in self.optimizer.param_groups if "grad_norm" in group]
        for norm in norms:
            if isinstance(norm, bool) or not isinstance(norm, (int, float)) or norm <= 0:
                raise ConfigurationError(f"expected the grad_norm of a parameter group to be positive, found {norm!r}")
        if norms and not isinstance(self._grad_norm, bool):
            raise ConfigurationError("expected a grad_norm of the trainer or of parameter groups, found both")
        if norms and self._ddp_wrapped_model is not None and self._ddp_wrapped_model.is_sharded:
            raise ConfigurationError("expected no grad_norm of parameter groups of a sharded model, found one")

    def rescale_gradients(self) -> Optional[float]:
        """Scales down the gradients of each group that has a `grad_norm`. Returns the norm of all of them before."""
        groups = self.optimizer.param_groups
        if all(group.get("grad_norm") is None for group in groups):
            return super().rescale_gradients()
        if self._scaler is not None:
            self._scaler.unscale_(self.optimizer)
        norms = []
        for group in groups:
            # The framework adds a group for what no expression matches, which may be empty.
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                norms.append(clip_grad_norm_(parameters, group.get("grad_norm", math.inf)))
        return torch.stack(norms).norm().item() if norms else 0.0

    def _validation_loss(self, epoch: int) -> tuple[float, Optional[float], int]:
        """
        The framework stops all workers when one has no batch left, and the sentences that others still have are in no
        figure. Where all metrics count alone, nothing in validation needs the other workers.
        """
        wrapper = self._ddp_wrapped_model
        if not self._distributed or wrapper.is_sharded or not counts_alone(self.model):
            return super()._validation_loss(epoch)
        self._ddp_wrapped_model, self._distributed = None, False
        try:
            return super()._validation_loss(epoch)
        finally:
            self._ddp_wrapped_model, self._distributed = wrapper, True

    def _maybe_restore_checkpoint(self) -> None:
        """
        The framework writes the checkpoint of an epoch before it notes that the epoch was the best and before best.th
        gets its weights. A training that continues from there could end with another epoch's weights, or none.
        """
        super()._maybe_restore_checkpoint()
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


class AveragedBackward(MixedPrecisionBackwardCallback):
    """
    Passes back the scaled loss of a batch, divided by the number of batches in a group. The last group of an epoch,
    which may be smaller, is averaged as if it were not.
    """

    def on_backward(
        self, trainer: GradientDescentTrainer, batch_outputs: dict[str, Any], backward_called: bool, **kwargs
    ) -> bool:
        if backward_called:
            return False
        loss = batch_outputs["loss"] / trainer._num_gradient_accumulation_steps
        return super().on_backward(trainer, {**batch_outputs, "loss": loss}, backward_called, **kwargs)


def _construct(optimizer: Lazy[Optimizer], **kwargs) -> Optimizer:
    def by(error: BaseException) -> str:
        return f"{Optimizer.by_name(_type(optimizer) or Optimizer.default_implementation).__name__}: {error}"

    with explained(ValueError, by=by):
        return optimizer.construct(**kwargs)


def _type(lazy: Lazy) -> Optional[str]:
    """The registered name of what is to be constructed, if the config has one."""
    params = lazy._params
    return params if isinstance(params, str) else params.get("type")
