from typing import Optional

from spigot_allennlp.nn.shapes import AnyMask, Cells
from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates.step_size import StepSizeLike
from spigot_allennlp.surrogates.structured_argmax import LossAt, Step, StructuredArgmax, SurrogateArgmax
from spigot_allennlp.surrogates.warm_up import WarmUp


@StructuredArgmax.register("pipeline")
class Pipeline(StructuredArgmax):
    """
    The best structure, and no gradient: the first stage learns nothing from the second.

    Registered as a `StructuredArgmax` with name "pipeline"; parameters as in `StructuredArgmax`, although there is
    nothing to warm up.
    """

    def take(self, scores: Cells, mask: AnyMask, loss_at: LossAt | None = None) -> Cells:
        return self.structure.argmax(scores.detach(), mask)


@StructuredArgmax.register("straight_through")
class StraightThrough(SurrogateArgmax):
    """
    `dL/ds := step_size * dL/dz`, as if the argmax were the identity
    ([Bengio et al., 2013](https://arxiv.org/abs/1308.3432)). It ignores what makes a structure.

    Registered as a `StructuredArgmax` with name "straight_through".

    # Parameters

    structure : `Structure`
        What is predicted.
    step_size : `float` or `StepSize`, optional (default = `1.0`)
        A factor on the gradient.
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
        return step()
