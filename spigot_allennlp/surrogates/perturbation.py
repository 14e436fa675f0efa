from typing import Optional

import torch

from spigot_allennlp.checks import not_negative
from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates.step_size import StepSizeLike
from spigot_allennlp.surrogates.structured_argmax import StructuredArgmax, SurrogateArgmax

# The mean of the standard Gumbel distribution.
EULER = 0.5772156649015329


@StructuredArgmax.register("perturb_and_map")
class PerturbAndMap(StructuredArgmax):
    """
    Another `StructuredArgmax` of noisy scores: in training, independent Gumbel noise of mean 0 joins the score of every
    part, so that the best structure becomes a sample, nearly from `p(z)` proportional to `exp(s . z / noise_scale)`
    ([Papandreou & Yuille, 2011](https://doi.org/10.1109/ICCV.2011.6126242); with a relaxation behind it,
    [Corro & Titov, 2019](https://arxiv.org/abs/1807.09875)). No noise at test.

    Registered as a `StructuredArgmax` with name "perturb_and_map".

    # Parameters

    argmax : `StructuredArgmax`
        What gets the noisy scores.
    noise_scale : `float`, optional (default = `1.0`)
        The scale of the noise, in units of the scores; not negative.
    """

    def __init__(self, argmax: StructuredArgmax, noise_scale: float = 1.0) -> None:
        super().__init__(argmax.structure)
        self.argmax = argmax
        self.noise_scale = not_negative("noise_scale", noise_scale)

    def forward(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.training:
            scores = scores + self.noise_scale * gumbel_noise(scores)
        return self.argmax(scores, mask)

    @property
    def passes_mixture(self) -> bool:
        return self.argmax.passes_mixture

    def see_gradient_of(self, loss: torch.Tensor) -> None:
        self.argmax.see_gradient_of(loss)


@StructuredArgmax.register("imle")
class Imle(SurrogateArgmax):
    """
    `dL/ds := z(s + noise) - z(s + noise - step_size * dL/dz)`, with the same noise twice, where `z` is the best
    structure: implicit maximum likelihood estimation ([Niepert et al., 2021](https://arxiv.org/abs/2106.01798)), with
    Gumbel noise of mean 0, and none at test. The target is a structure, as `spigot`'s is a point of a polytope. Divided
    by the step size, this is the difference quotient of [Vlastelica et al., 2020](https://arxiv.org/abs/1912.02175).

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
    """

    def __init__(
        self,
        structure: Structure,
        step_size: StepSizeLike = 1.0,
        max_gradient_norm: Optional[float] = None,
        noise_scale: float = 1.0,
    ) -> None:
        super().__init__(structure, step_size, max_gradient_norm)
        self.noise_scale = not_negative("noise_scale", noise_scale)

    def forward(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.training:
            scores = scores + self.noise_scale * gumbel_noise(scores)
        return super().forward(scores, mask)

    def pull_back(self, scores: torch.Tensor, z: torch.Tensor, step: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return z - self.structure.argmax(scores - step, mask)


def gumbel_noise(like: torch.Tensor) -> torch.Tensor:
    """Independent standard Gumbel noise less its mean, of the shape, dtype and device of a tensor."""
    exponential = torch.empty_like(like, dtype=torch.promote_types(like.dtype, torch.float32)).exponential_()
    return (-exponential.clamp(min=torch.finfo(exponential.dtype).tiny).log() - EULER).to(like.dtype)
