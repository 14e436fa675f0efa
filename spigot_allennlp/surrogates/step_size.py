import math
from typing import Union

import torch
from allennlp.common import Registrable

from spigot_allennlp.checks import positive


class StepSize(torch.nn.Module, Registrable):
    """
    How far a surrogate gradient steps. Called once for each forward pass that a gradient comes back through, and not
    before it does; a schedule then advances by one where the module is in training. A pass that activation
    checkpointing computes again therefore counts once. The position of a schedule is part of the state dict, so that a
    recovered training run goes on where it stopped.
    """

    default_implementation = "constant"

    def forward(self) -> float | torch.Tensor:
        """The step size of the next pass, a number or a tensor of one number."""
        raise NotImplementedError


# Not `float | StepSize`, which AllenNLP's configs do not understand.
StepSizeLike = Union[float, StepSize]


@StepSize.register("constant")
class ConstantStepSize(StepSize):
    """
    Registered as a `StepSize` with name "constant", which is the default. Where a `StepSize` is expected, a bare number
    means this.

    # Parameters

    value : `float`
        The step size, positive.
    """

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = positive("step_size", value)

    def forward(self) -> float:
        return self.value


class StepSizeSchedule(StepSize):
    """
    Moves from one step size to another, and stays there.

    # Parameters

    start : `float`
        The step size of the first pass, positive.
    end : `float`
        The step size after `num_passes` passes, positive.
    num_passes : `int`
        How many passes, forward and backward, in training lie between.
    """

    def __init__(self, start: float, end: float, num_passes: int) -> None:
        super().__init__()
        self.start = positive("start", start)
        self.end = positive("end", end)
        self.num_passes = positive("num_passes", num_passes)
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))

    def forward(self) -> torch.Tensor:
        progress = (self.passes / self.num_passes).clamp(max=1)
        if self.training:
            self.passes += 1
        return self.start + (self.end - self.start) * self.covered(progress)

    def covered(self, progress: torch.Tensor) -> torch.Tensor:
        """Which share of the way from start to end is covered after a share of the passes; both in [0, 1]."""
        raise NotImplementedError


@StepSize.register("linear")
class LinearStepSize(StepSizeSchedule):
    """Registered as a `StepSize` with name "linear"; parameters as in `StepSizeSchedule`."""

    def covered(self, progress: torch.Tensor) -> torch.Tensor:
        return progress


@StepSize.register("cosine")
class CosineStepSize(StepSizeSchedule):
    """Half a cosine wave. Registered as a `StepSize` with name "cosine"; parameters as in `StepSizeSchedule`."""

    def covered(self, progress: torch.Tensor) -> torch.Tensor:
        return (1 - torch.cos(math.pi * progress)) / 2
