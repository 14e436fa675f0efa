from collections.abc import Callable
from typing import Optional

import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.checks import whole
from spigot_allennlp.nn.shapes import AnyMask, Cells
from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates.step_size import StepSizeLike
from spigot_allennlp.surrogates.structured_argmax import Step, StructuredArgmax, SurrogateArgmax
from spigot_allennlp.surrogates.warm_up import WarmUp


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
    num_steps : `int`, optional (default = `1`)
        How many steps of projected gradient descent are taken on the way to the target, each of the whole step size
        along the (clipped) gradient where the one before it ended, as in the program of
        [Mihaylova et al., 2020](https://aclanthology.org/2020.emnlp-main.171/). Each step but the first passes through
        the second stage once more, forward and backward: it needs `loss_at`. (Short steps along one and the same
        gradient would end where a long one does on products of simplexes, as "local" is for trees.)
    warm_up : `WarmUp`, optional (default = `None`)
        How long no gradient passes, and how it then sets in.
    """

    has_target = True

    def __init__(
        self,
        structure: Structure,
        step_size: StepSizeLike = 1.0,
        max_gradient_norm: Optional[float] = 1.0,
        polytope: str = "local",
        num_steps: int = 1,
        warm_up: Optional[WarmUp] = None,
    ) -> None:
        super().__init__(structure, step_size, max_gradient_norm, warm_up)
        if polytope not in structure.polytopes():
            names = ", ".join(structure.polytopes())
            raise ConfigurationError(f"polytope must be one of {names}, but is {polytope!r}")
        self.polytope = polytope
        self.num_steps = whole("num_steps", num_steps)

    @property
    def needs_loss(self) -> bool:
        return self.num_steps > 1

    def pull_back(self, scores: Cells, z: Cells, step: Step, mask: AnyMask) -> Cells:
        return z - self.descend(z, step(), step, self.projection(scores, mask))

    def projection(self, scores: torch.Tensor, mask: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The projection onto the polytope. What -inf forbids is not to be a target either."""
        project, forbidden = self.structure.polytopes()[self.polytope], scores == -torch.inf
        return lambda point: project(point.masked_fill(forbidden, -torch.inf), mask)

    def descend(
        self,
        start: Cells,
        first_step: Cells,
        step: Step,
        project: Callable[[torch.Tensor], torch.Tensor],
    ) -> Cells:
        """Where `num_steps` steps from `start`, projected one by one, lead."""
        point = project(start - first_step)
        for _ in range(1, self.num_steps):
            point = project(point - step(point))
        return point


@StructuredArgmax.register("spigot_ce")
class SpigotCe(Spigot):
    """
    `dL/ds := mu - project(mu - step_size * dL/dz)`, where `mu` are the marginals under the scores: as
    [`Spigot`](#spigot), but the step starts from the marginals, and the first stage gets the gradient of a
    cross-entropy. From [Understanding the Mechanics of SPIGOT](https://aclanthology.org/2020.emnlp-main.171/).

    The step from `mu` takes the gradient at what went forward, `dL/dz`. Where that is the best structure, the authors'
    program differs: there the gradient is that at `mu`, for which the second stage is passed once more
    (`gradient_at_marginals`). With `relaxed`, `mu` itself goes forward, and both are the authors' other program.

    Registered as a `StructuredArgmax` with name "spigot_ce".

    # Parameters

    structure, step_size, max_gradient_norm, polytope, warm_up
        As in [`Spigot`](#spigot).
    relaxed : `bool`, optional (default = `False`)
        Whether the marginals go forward in place of the best structure.
    hard_at_test : `bool`, optional (default = `False`)
        Whether the best structure goes forward all the same when the module is not in training.
    num_steps : `int`, optional (default = `1`)
        As in [`Spigot`](#spigot).
    gradient_at_marginals : `bool`, optional (default = `False`)
        Whether the gradient of the first step, too, is that at the point it starts from, whatever went forward. Where
        that was the best structure it needs `loss_at`.
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
        num_steps: int = 1,
        gradient_at_marginals: bool = False,
        warm_up: Optional[WarmUp] = None,
    ) -> None:
        super().__init__(structure, step_size, max_gradient_norm, polytope, num_steps, warm_up)
        self.relaxed = relaxed
        self.hard_at_test = hard_at_test
        self.gradient_at_marginals = gradient_at_marginals

    @property
    def passes_mixture(self) -> bool:
        return self.relaxed and (self.training or not self.hard_at_test)

    @property
    def needs_loss(self) -> bool:
        return super().needs_loss or (self.gradient_at_marginals and not self.passes_mixture)

    def decode(self, scores: Cells, mask: AnyMask) -> Cells:
        return (self.structure.marginals if self.passes_mixture else self.structure.argmax)(scores, mask)

    def pull_back(self, scores: Cells, z: Cells, step: Step, mask: AnyMask) -> Cells:
        marginals = self.structure.marginals(scores, mask)
        target = self.descend(marginals, self.first_step(marginals, step), step, self.projection(scores, mask))
        return marginals - target

    def first_step(self, marginals: Cells, step: Step) -> Cells:
        return step(marginals) if self.gradient_at_marginals and not self.passes_mixture else step()


@StructuredArgmax.register("spigot_eg")
class SpigotEg(SpigotCe):
    """
    `dL/ds := mu(s) - mu(s - step_size * dL/dz)`, where `mu(s)` are the marginals under scores `s`: as
    [`SpigotCe`](#spigotce), but an exponentiated gradient step stays among the marginals of its own accord. From
    [Understanding the Mechanics of SPIGOT](https://aclanthology.org/2020.emnlp-main.171/).

    Registered as a `StructuredArgmax` with name "spigot_eg".

    # Parameters

    structure, step_size, max_gradient_norm, warm_up
        As in [`Spigot`](#spigot).
    relaxed, hard_at_test
        As in [`SpigotCe`](#spigotce).
    num_steps : `int`, optional (default = `1`)
        As in [`Spigot`](#spigot); each step changes the scores, and the next gradient is that at their marginals.
    gradient_at_marginals
        As in [`SpigotCe`](#spigotce).
    """

    def __init__(
        self,
        structure: Structure,
        step_size: StepSizeLike = 1.0,
        max_gradient_norm: Optional[float] = 1.0,
        relaxed: bool = False,
        hard_at_test: bool = False,
        num_steps: int = 1,
        gradient_at_marginals: bool = False,
        warm_up: Optional[WarmUp] = None,
    ) -> None:
        super().__init__(
            structure,
            step_size,
            max_gradient_norm,
            relaxed=relaxed,
            hard_at_test=hard_at_test,
            num_steps=num_steps,
            gradient_at_marginals=gradient_at_marginals,
            warm_up=warm_up,
        )

    def pull_back(self, scores: Cells, z: Cells, step: Step, mask: AnyMask) -> Cells:
        start = self.structure.marginals(scores, mask)
        scores = scores - self.first_step(start, step)
        end = self.structure.marginals(scores, mask)
        for _ in range(1, self.num_steps):
            scores = scores - step(end)
            end = self.structure.marginals(scores, mask)
        return start - end
