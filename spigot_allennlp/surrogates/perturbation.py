from typing import Optional

import torch

from spigot_allennlp.checks import not_negative
from spigot_allennlp.nn.shapes import AnyMask, Cells
from spigot_allennlp.surrogates.noise import GumbelNoise, Noise
from spigot_allennlp.surrogates.structured_argmax import LossAt, StructuredArgmax
from spigot_allennlp.surrogates.warm_up import WarmUp


@StructuredArgmax.register("perturb_and_map")
class PerturbAndMap(StructuredArgmax):
    """
    Another `StructuredArgmax` of noisy scores: in training, independent noise of mean 0 joins the score of every part,
    so that the best structure becomes a sample, nearly from `p(z)` proportional to `exp(s . z / noise_scale)`
    ([Papandreou & Yuille, 2011](https://doi.org/10.1109/ICCV.2011.6126242); with a relaxation behind it,
    [Corro & Titov, 2019](https://arxiv.org/abs/1807.09875)). No noise at test.

    Registered as a `StructuredArgmax` with name "perturb_and_map".

    # Parameters

    argmax : `StructuredArgmax`
        What gets the noisy scores.
    noise_scale : `float`, optional (default = `1.0`)
        The scale of the noise, in units of the scores; not negative.
    noise : `Noise`, optional (default = `None`)
        Its distribution; `None` is that of Gumbel.
    warm_up : `WarmUp`, optional (default = `None`)
        How long no gradient passes, and how it then sets in.
    """

    def __init__(
        self,
        argmax: StructuredArgmax,
        noise_scale: float = 1.0,
        noise: Optional[Noise] = None,
        warm_up: Optional[WarmUp] = None,
    ) -> None:
        super().__init__(argmax.structure, warm_up)
        self.argmax = argmax
        self.noise_scale = not_negative("noise_scale", noise_scale)
        self.noise = noise or GumbelNoise()

    def take(self, scores: Cells, mask: AnyMask, loss_at: LossAt | None = None) -> Cells:
        if self.training:
            scores = scores + self.noise_scale * self.noise.like(scores)
        return self.argmax(scores, mask, loss_at)

    @property
    def passes_mixture(self) -> bool:
        return self.argmax.passes_mixture

    @property
    def needs_loss(self) -> bool:
        return self.argmax.needs_loss

    @property
    def has_target(self) -> bool:
        return self.argmax.has_target

    @property
    def max_gradient_norm(self) -> float | None:
        return self.argmax.max_gradient_norm

    def see_gradient_of(self, loss: torch.Tensor) -> None:
        super().see_gradient_of(loss)
        self.argmax.see_gradient_of(loss)
