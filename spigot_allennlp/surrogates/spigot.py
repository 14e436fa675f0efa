from typing import Optional

import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates.step_size import StepSizeLike
from spigot_allennlp.surrogates.structured_argmax import StructuredArgmax, SurrogateArgmax


@StructuredArgmax.register("spigot")
class Spigot(SurrogateArgmax):
    """
    `dL/ds := z - project(z - step_size * dL/dz)`: the step downhill from `z` is brought back to a polytope around all
    structures, and the first stage gets the gradient that a perceptron would if that point were the right structure.
    From [Backpropagating through Structured Argmax using a SPIGOT](https://aclanthology.org/P18-1173/), section 3.

    Registered as a `StructuredArgmax` with name "spigot", which is the default.

    # Parameters

    structure : `Structure`
        What is predicted.
    step_size : `float` or `StepSize`, optional (default = `1.0`)
        How far to go against the gradient: dimensionless, positive, the same for all or by a schedule.
    max_gradient_norm : `float`, optional (default = `1.0`)
        Each sentence's `dL/dz` is scaled down to this Euclidean norm if it is longer; `None` leaves it as it is.
    polytope : `str`, optional (default = `"local"`)
        Onto what is projected: "local", the structure's cheap relaxation, as in the paper; "exact", the convex hull of
        all structures; or what else the structure names in its `polytopes`.
    """

    def __init__(
        self,
        structure: Structure,
        step_size: StepSizeLike = 1.0,
        max_gradient_norm: Optional[float] = 1.0,
        polytope: str = "local",
    ) -> None:
        super().__init__(structure, step_size, max_gradient_norm)
        if polytope not in structure.polytopes():
            names = ", ".join(structure.polytopes())
            raise ConfigurationError(f"polytope must be one of {names}, but is {polytope!r}")
        self.polytope = polytope

    def pull_back(self, scores: torch.Tensor, z: torch.Tensor, step: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        project = self.structure.polytopes()[self.polytope]
        # What -inf forbids is not to be the target either.
        point = (z - step).masked_fill(scores == -torch.inf, -torch.inf)
        return z - project(point, mask)


@StructuredArgmax.register("spigot_ce")
class SpigotCe(Spigot):
    """
    `dL/ds := mu - project(mu - step_size * dL/dz)`, where `mu` are the marginals under the scores: as
    [`Spigot`](#spigot), but the step starts from the marginals, and the first stage gets the gradient of a
    cross-entropy. From [Understanding the Mechanics of SPIGOT](https://aclanthology.org/2020.emnlp-main.171/).

    Registered as a `StructuredArgmax` with name "spigot_ce".

    # Parameters

    structure, step_size, max_gradient_norm, polytope
        As in [`Spigot`](#spigot).
    relaxed : `bool`, optional (default = `False`)
        Whether the marginals go forward in place of the best structure.
    hard_at_test : `bool`, optional (default = `False`)
        Whether the best structure goes forward all the same when the module is not in training.
    """

    needs = ("argmax", "marginals")

    def __init__(
        self,
        structure: Structure,
        step_size: StepSizeLike = 1.0,
        max_gradient_norm: Optional[float] = 1.0,
        polytope: str = "local",
        relaxed: bool = False,
        hard_at_test: bool = False,
    ) -> None:
        super().__init__(structure, step_size, max_gradient_norm, polytope)
        self.relaxed = relaxed
        self.hard_at_test = hard_at_test

    @property
    def passes_mixture(self) -> bool:
        return self.relaxed and (self.training or not self.hard_at_test)

    def decode(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return (self.structure.marginals if self.passes_mixture else self.structure.argmax)(scores, mask)

    def pull_back(self, scores: torch.Tensor, z: torch.Tensor, step: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        marginals = self.structure.marginals(scores, mask)
        return super().pull_back(scores, marginals, step, mask)


@StructuredArgmax.register("spigot_eg")
class SpigotEg(SpigotCe):
    """
    `dL/ds := mu(s) - mu(s - step_size * dL/dz)`, where `mu(s)` are the marginals under scores `s`: as
    [`SpigotCe`](#spigotce), but an exponentiated gradient step stays among the marginals of its own accord. From
    [Understanding the Mechanics of SPIGOT](https://aclanthology.org/2020.emnlp-main.171/).

    Registered as a `StructuredArgmax` with name "spigot_eg".

    # Parameters

    structure, step_size, max_gradient_norm
        As in [`Spigot`](#spigot).
    relaxed, hard_at_test
        As in [`SpigotCe`](#spigotce).
    """

    def __init__(
        self,
        structure: Structure,
        step_size: StepSizeLike = 1.0,
        max_gradient_norm: Optional[float] = 1.0,
        relaxed: bool = False,
        hard_at_test: bool = False,
    ) -> None:
        super().__init__(structure, step_size, max_gradient_norm, relaxed=relaxed, hard_at_test=hard_at_test)

    def pull_back(self, scores: torch.Tensor, z: torch.Tensor, step: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        marginals = self.structure.marginals
        return marginals(scores, mask) - marginals(scores - step, mask)
