from typing import Optional

import torch

from spigot_allennlp.checks import fraction, not_negative, positive
from spigot_allennlp.nn.shapes import AnyMask, Cells
from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates.noise import GumbelNoise, Noise
from spigot_allennlp.surrogates.step_size import StepSizeLike
from spigot_allennlp.surrogates.structured_argmax import LossAt, Step, StructuredArgmax, SurrogateArgmax
from spigot_allennlp.surrogates.warm_up import WarmUp


@StructuredArgmax.register("blackbox")
class Blackbox(SurrogateArgmax):
    """
    `dL/ds := (z(s) - z(s - step_size * dL/dz)) / step_size`, where `z` is the best structure: the derivative of a
    function that interpolates the loss, linearised, between the structures that are best somewhere
    ([Vlastelica et al., 2020](https://arxiv.org/abs/1912.02175), algorithm 1, where `z` minimises). A longer step
    reaches more structures and is less faithful.

    Registered as a `StructuredArgmax` with name "blackbox".

    # Parameters

    structure : `Structure`
        What is predicted.
    step_size : `float` or `StepSize`, optional (default = `1.0`)
        How far to go against the gradient, in units of the scores: positive, the same for all or by a schedule. The
        paper's lambda.
    max_gradient_norm : `float`, optional (default = `None`)
        Each sentence's `dL/dz` is scaled down to this Euclidean norm if it is longer; `None` leaves it as it is.
    warm_up : `WarmUp`, optional (default = `None`)
        How long no gradient passes, and how it then sets in.
    """

    def __init__(
        self,
        structure: Structure,
        step_size: StepSizeLike = 1.0,
        max_gradient_norm: Optional[float] = None,
        warm_up: Optional[WarmUp] = None,
    ) -> None:
        super().__init__(structure, step_size, max_gradient_norm, warm_up)

    def pull_back(self, scores: Cells, z: Cells, step: Step, mask: AnyMask) -> Cells:
        return (z - self.structure.argmax(scores - step(), mask)) / step.size


class NoisyDifference(SurrogateArgmax):
    """
    What the two kinds of implicit maximum likelihood estimation share: in training, noise of mean 0 joins the scores
    before anything else. Parameters as in [`Imle`](#imle).
    """

    def __init__(
        self,
        structure: Structure,
        step_size: StepSizeLike,
        max_gradient_norm: Optional[float],
        noise_scale: float,
        noise: Optional[Noise],
        warm_up: Optional[WarmUp] = None,
    ) -> None:
        super().__init__(structure, step_size, max_gradient_norm, warm_up)
        self.noise_scale = not_negative("noise_scale", noise_scale)
        self.noise = noise or GumbelNoise()

    def take(self, scores: Cells, mask: AnyMask, loss_at: LossAt | None = None) -> Cells:
        if self.training:
            scores = scores + self.noise_scale * self.noise.like(scores)
        return super().take(scores, mask, loss_at)


@StructuredArgmax.register("imle")
class Imle(NoisyDifference):
    """
    `dL/ds := z(s + noise) - z(s + noise - step_size * dL/dz)`, with the same noise twice, where `z` is the best
    structure: implicit maximum likelihood estimation ([Niepert et al., 2021](https://arxiv.org/abs/2106.01798)), with
    noise of mean 0, and none at test. The target is a structure, as `spigot`'s is a point of a polytope. Without noise
    and divided by the step size, this is `blackbox`.

    Registered as a `StructuredArgmax` with name "imle".

    # Parameters

    structure : `Structure`
        What is predicted.
    step_size : `float` or `StepSize`, optional (default = `1.0`)
        How far to go against the gradient, in units of the scores: positive, the same for all or by a schedule.
    max_gradient_norm : `float`, optional (default = `None`)
        Each sentence's `dL/dz` is scaled down to this Euclidean norm if it is longer; `None` leaves it as it is.
    noise_scale : `float`, optional (default = `1.0`)
        The scale of the noise, in units of the scores; not negative.
    noise : `Noise`, optional (default = `None`)
        Its distribution; `None` is that of Gumbel.
    warm_up : `WarmUp`, optional (default = `None`)
        How long no gradient passes, and how it then sets in.
    """

    has_target = True

    def __init__(
        self,
        structure: Structure,
        step_size: StepSizeLike = 1.0,
        max_gradient_norm: Optional[float] = None,
        noise_scale: float = 1.0,
        noise: Optional[Noise] = None,
        warm_up: Optional[WarmUp] = None,
    ) -> None:
        super().__init__(structure, step_size, max_gradient_norm, noise_scale, noise, warm_up)

    def pull_back(self, scores: Cells, z: Cells, step: Step, mask: AnyMask) -> Cells:
        return z - self.structure.argmax(scores - step(), mask)


@StructuredArgmax.register("adaptive_imle")
class AdaptiveImle(NoisyDifference):
    """
    `dL/ds := (z(s + noise) - z(s + noise - lambda * dL/dz)) / lambda`: as [`Imle`](#imle), with a step that finds its
    own length ([Minervini et al., 2023](https://arxiv.org/abs/2209.04862)). In each sentence
    `lambda = beta * ||s + noise|| / ||dL/dz||`, so that `beta` says how long the step is beside the scores; a running
    mean, over backward passes in training, of the number of parts in which the two structures differ is kept near
    `informative_parts`: while it is lower, each pass adds `beta_step` to `beta`, otherwise takes it away. A longer step
    tells more, and less faithfully.

    The authors' program takes both norms over the batch, and that of `s` alone; with sentences each by itself, a
    gradient does not depend on what else is in the batch, and with the noise, scores that are all 0 leave the spot.

    `beta` and the running mean are buffers, part of the state dict.

    Registered as a `StructuredArgmax` with name "adaptive_imle".

    # Parameters

    structure : `Structure`
        What is predicted.
    beta : `float`, optional (default = `1.0`)
        Where `beta` starts, positive.
    beta_step : `float`, optional (default = `0.0001`)
        By how much it moves; not negative.
    informative_parts : `float`, optional (default = `1.0`)
        How many parts of a sentence are to differ, positive.
    decay : `float`, optional (default = `0.9`)
        The weight of the past in the running mean, below 1 and not negative.
    noise_scale : `float`, optional (default = `1.0`)
        The scale of the noise, in units of the scores; not negative.
    noise : `Noise`, optional (default = `None`)
        Its distribution; `None` is that of Gumbel.
    warm_up : `WarmUp`, optional (default = `None`)
        How long no gradient passes, and how it then sets in.
    """

    def __init__(
        self,
        structure: Structure,
        beta: float = 1.0,
        beta_step: float = 0.0001,
        informative_parts: float = 1.0,
        decay: float = 0.9,
        noise_scale: float = 1.0,
        noise: Optional[Noise] = None,
        warm_up: Optional[WarmUp] = None,
    ) -> None:
        super().__init__(structure, 1.0, None, noise_scale, noise, warm_up)
        self.beta_step = not_negative("beta_step", beta_step)
        self.informative_parts = positive("informative_parts", informative_parts)
        self.decay = fraction("decay", decay)
        self.register_buffer("beta", torch.tensor(positive("beta", beta), dtype=torch.double))
        self.register_buffer("differing_parts", torch.tensor(float(informative_parts), dtype=torch.double))

    def pull_back(self, scores: Cells, z: Cells, step: Step, mask: AnyMask) -> Cells:
        is_used = self.structure.parts(scores, mask) & (scores > -torch.inf)
        # Shape: (batch, 1, ...)
        length = _norms(step.gradient)
        reach = (self.beta.to(scores) * _norms(scores.where(is_used, 0.0)) / length).where(length > 0, 0.0)
        difference = z - self.structure.argmax(scores - reach * step.gradient, mask)
        if self.training:
            self._adapt((difference != 0).sum() / max(len(z), 1))
        return (difference / reach).where(reach > 0, 0.0)

    def _adapt(self, differing_parts: torch.Tensor) -> None:
        self.differing_parts.lerp_(differing_parts.to(self.differing_parts), 1 - self.decay)
        is_low = self.differing_parts < self.informative_parts
        self.beta.add_(is_low * 2.0 - 1.0, alpha=self.beta_step).clamp_(min=0)


def _norms(values: torch.Tensor) -> torch.Tensor:
    """The Euclidean norm of each sentence, `(batch, 1, ...)`."""
    return values.flatten(1).norm(dim=1).view(-1, *[1] * (values.dim() - 1))
