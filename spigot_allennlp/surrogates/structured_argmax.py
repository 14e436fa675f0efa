from collections.abc import Callable
from typing import Any, Optional

import torch
from allennlp.common import Registrable

from spigot_allennlp.checks import positive
from spigot_allennlp.structures import Structure, registered_name
from spigot_allennlp.surrogates.step_size import ConstantStepSize, StepSize, StepSizeLike


class StructuredArgmax(torch.nn.Module, Registrable):
    """
    A layer that takes the best structure `z` under scores `s`, and a rule by which a gradient passes through it. The
    rules differ in what goes forward and in what stands for `dL/ds`, given `g = dL/dz`:

    | type | forward | backward |
    |---|---|---|
    | `pipeline` | `z` | 0 |
    | `straight_through` | `z` | `step_size * g` |
    | `spigot` | `z` | `z - project(z - step_size * g)` |
    | `spigot_ce` | `z` or the marginals `mu(s)` | `mu(s) - project(mu(s) - step_size * g)` |
    | `spigot_eg` | `z` or the marginals `mu(s)` | `mu(s) - mu(s - step_size * g)` |
    | `imle` | `z(s + noise)` | `z(s + noise) - z(s + noise - step_size * g)` |
    | `structured_attention` | `mu(s)` | its derivative |
    | `sparsemap` | the point of the structures' hull nearest to `s` | its derivative |
    | `perturb_and_map` | another one of these, of `s + noise` | likewise |

    # Parameters

    structure : `Structure`
        What is predicted.
    """

    default_implementation = "spigot"
    needs = ("argmax",)
    """The operations of a structure without which there is nothing to go forward or back."""

    def __init__(self, structure: Structure) -> None:
        super().__init__()
        structure.require(*self.needs, by=registered_name(self, StructuredArgmax))
        self.structure = structure

    @property
    def passes_mixture(self) -> bool:
        """Whether a mixture of structures goes forward now, and not a single one."""
        return False

    def forward(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        # Parameters

        scores : `torch.Tensor`
            The scores of all parts, floating; `(batch_size, length, length)` for trees.
        mask : `torch.Tensor`
            Shape `(batch_size, length)`, bool.

        # Returns

        `torch.Tensor`
            The structures, of the shape, dtype and device of `scores`; 0 where there is no part. The gradient of
            `scores` is 0 there too; and where -inf forbids a part, `dL/dz` is not looked at.
        """
        raise NotImplementedError

    def chosen(self, scores: torch.Tensor, mask: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """
        The structure to report for what went forward, `z`: itself or, of a mixture, the best one under its scores. It
        has no gradient; parameters are those of `forward`.
        """
        return self.structure.argmax(scores.detach(), mask) if self.passes_mixture else z.detach()

    def see_gradient_of(self, loss: torch.Tensor) -> None:
        """
        Where the gradient is a surrogate, lets its rule see the gradient of `loss` itself, by whatever factor the
        trainer multiplies `loss` before it goes backward: a gradient scaler's, or one over the number of accumulation
        steps. What comes of the rule is multiplied by that factor. To be called after each `forward`.

        # Parameters

        loss : `torch.Tensor`
            Of shape `()`, computed from what `forward` returned last.
        """


class Surrogate(torch.autograd.Function):
    """`z = decode(scores)` forward, `d_scores = pull_back(scores, z, d_z)` backward, whatever these functions are."""

    @staticmethod
    def forward(
        ctx: Any,
        scores: torch.Tensor,
        decode: Callable[[torch.Tensor], torch.Tensor],
        pull_back: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        z = decode(scores)
        ctx.save_for_backward(scores, z)
        ctx.pull_back = pull_back
        return z

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_z: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.pull_back(*ctx.saved_tensors, d_z), None, None


class SurrogateArgmax(StructuredArgmax):
    """
    A `StructuredArgmax` whose gradient is no derivative. Subclasses say by [`pull_back`](#pull_back) what it is, and by
    [`decode`](#decode) what goes forward, if that is not the best structure.

    The rules are not linear in `dL/dz`: a loss that a gradient scaler multiplies is clipped and projected as if it were
    large, unless [`see_gradient_of`](#see_gradient_of) says which loss is meant. A sentence whose `dL/dz` is not finite
    gets NaN.

    # Parameters

    structure : `Structure`
        What is predicted.
    step_size : `float` or `StepSize`
        How far to go against the gradient: dimensionless, positive, the same for all or by a schedule.
    max_gradient_norm : `float`, optional
        Each sentence's `dL/dz` is scaled down to this Euclidean norm if it is longer; `None` leaves it as it is.
    """

    def __init__(self, structure: Structure, step_size: StepSizeLike, max_gradient_norm: Optional[float]) -> None:
        super().__init__(structure)
        self.step_size = step_size if isinstance(step_size, StepSize) else ConstantStepSize(step_size)
        self.max_gradient_norm = None if max_gradient_norm is None else positive("max_gradient_norm", max_gradient_norm)
        self._factor: torch.Tensor | float = 1.0  # of the loss, on its way back

    def see_gradient_of(self, loss: torch.Tensor) -> None:
        if loss.requires_grad:
            loss.register_hook(self._see_factor)

    def _see_factor(self, factor: torch.Tensor) -> None:
        # Where it is 0, so is what comes back.
        self._factor = factor.detach().float().masked_fill(factor == 0, 1.0)

    def forward(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        step_size = self.step_size()
        self._factor = 1.0

        def decode(scores: torch.Tensor) -> torch.Tensor:
            return self.decode(scores, mask)

        def pull_back(scores: torch.Tensor, z: torch.Tensor, d_z: torch.Tensor) -> torch.Tensor:
            # float16 and bfloat16 would lose small steps.
            dtype = torch.promote_types(d_z.dtype, torch.float32)
            parts = self.structure.parts(scores, mask) & (scores > -torch.inf)
            gradient = d_z.to(dtype).where(parts, 0.0) / self._factor
            # A gradient that is not finite is not to stop here: whoever scales losses skips the step and goes on.
            broken = ~gradient.isfinite().flatten(1).all(dim=1).view(-1, *[1] * (gradient.dim() - 1))
            step = step_size * clip_norm(gradient.masked_fill(broken, 0.0), self.max_gradient_norm)
            d_scores = self.pull_back(scores.to(dtype), z.to(dtype), step, mask) * self._factor
            return d_scores.masked_fill(broken, torch.nan).to(d_z.dtype)

        return Surrogate.apply(scores, decode, pull_back)

    def decode(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What goes forward."""
        return self.structure.argmax(scores, mask)

    def pull_back(self, scores: torch.Tensor, z: torch.Tensor, step: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What stands for `dL/ds`, given what went forward and `step = step_size * dL/dz`, clipped, 0 off the parts."""
        raise NotImplementedError


def clip_norm(gradient: torch.Tensor, max_norm: Optional[float]) -> torch.Tensor:
    """Scales each sentence's part of `gradient`, `(batch_size, ...)`, to a Euclidean norm of at most `max_norm`."""
    if max_norm is None:
        return gradient
    norm = gradient.flatten(1).norm(dim=1).view(-1, *[1] * (gradient.dim() - 1))
    return gradient * (max_norm / norm.clamp(min=max_norm))
