from typing import Optional

import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.checks import not_negative
from spigot_allennlp.nn.shapes import AnyMask, Cells
from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates.step_size import StepSizeLike
from spigot_allennlp.surrogates.structured_argmax import LossAt, Step, StructuredArgmax, SurrogateArgmax
from spigot_allennlp.surrogates.warm_up import WarmUp

PROJECTIONS = ("none", "mean", "norm", "std")


@StructuredArgmax.register("identity")
class Identity(SurrogateArgmax):
    """
    As [`StraightThrough`](./simple.md#straightthrough), but the scores are projected first, and the gradient comes back
    through that projection: `dL/ds := P'(s)^T (step_size * dL/dz)`. What `P` takes away, the best structure does not
    depend on, and so the first stage is not asked for it: its scores neither drift nor collapse
    ([Sahoo et al., 2023](https://arxiv.org/abs/2205.15213)).

    Registered as a `StructuredArgmax` with name "identity".

    # Parameters

    structure : `Structure`
        What is predicted.
    step_size : `float` or `StepSize`, optional (default = `1.0`)
        A factor on the gradient.
    max_gradient_norm : `float`, optional (default = `None`)
        Each sentence's `dL/dz` is scaled down to this Euclidean norm if it is longer; `None` leaves it as it is.
    projection : `str`, optional (default = `"norm"`)
        What is done to the scores of each sentence's parts, leaving out those that are -inf: "norm" divides them by
        their Euclidean norm; "mean" subtracts their mean, for structures that all have the same number of parts, as
        trees and subsets do, but graphs do not; "std" does both; "none" makes this straight-through.
    margin : `float`, optional (default = `0.0`)
        In training, half of it is added to or subtracted from each projected score, by the toss of a coin, so that the
        best structure must be ahead by a margin; not negative.
    warm_up : `WarmUp`, optional (default = `None`)
        How long no gradient passes, and how it then sets in.
    """

    def __init__(
        self,
        structure: Structure,
        step_size: StepSizeLike = 1.0,
        max_gradient_norm: Optional[float] = None,
        projection: str = "norm",
        margin: float = 0.0,
        warm_up: Optional[WarmUp] = None,
    ) -> None:
        super().__init__(structure, step_size, max_gradient_norm, warm_up)
        if projection not in PROJECTIONS:
            raise ConfigurationError(f"projection must be one of {', '.join(PROJECTIONS)}, but is {projection!r}")
        self.projection = projection
        self.margin = not_negative("margin", margin)

    def take(self, scores: Cells, mask: AnyMask, loss_at: LossAt | None = None) -> Cells:
        scores = self.project(scores, mask)
        if self.training and self.margin:
            scores = scores + self.margin * (torch.randint_like(scores, 2) - 0.5)
        return super().take(scores, mask, loss_at)

    def project(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The projected scores, differentiable."""
        is_used = (self.structure.parts(scores, mask) & (scores > -torch.inf)).flatten(1)
        # Half precision would lose what a mean or a norm takes away.
        values = scores.to(torch.promote_types(scores.dtype, torch.float32)).flatten(1).where(is_used, 0.0)
        if self.projection in ("mean", "std"):
            mean = values.sum(1, keepdim=True) / is_used.sum(1, keepdim=True).clamp(min=1)
            values = (values - mean).where(is_used, 0.0)
        if self.projection in ("norm", "std"):
            norm = values.norm(dim=1, keepdim=True)
            values = values / norm.where(norm > 0, 1.0)
        return values.to(scores.dtype).view(scores.shape).where(is_used.view(scores.shape), scores)

    def pull_back(self, scores: Cells, z: Cells, step: Step, mask: AnyMask) -> Cells:
        return step()
