from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Optional

import torch
from allennlp.common import Registrable

from spigot_allennlp.checks import positive
from spigot_allennlp.nn.shapes import AnyMask, Cells
from spigot_allennlp.structures import Structure, registered_name
from spigot_allennlp.surrogates.step_size import ConstantStepSize, StepSize, StepSizeLike
from spigot_allennlp.surrogates.warm_up import WarmUp

LossAt = Callable[[torch.Tensor], torch.Tensor]
Observer = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]


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
    | `blackbox` | `z` | `(z - z(s - step_size * g)) / step_size` |
    | `identity` | `z` | `step_size * g`, through a normalisation of `s` |
    | `imle` | `z(s + noise)` | `z(s + noise) - z(s + noise - step_size * g)` |
    | `adaptive_imle` | `z(s + noise)` | `(z(s + noise) - z(s + noise - lambda * g)) / lambda`, where `lambda` adapts |
    | `structured_attention` | `mu(s)` | its derivative |
    | `sparsemap` | the point of the structures' hull nearest to `s` | its derivative |
    | `perturb_and_map` | another one of these, of `s + noise` | likewise |

    # Parameters

    structure : `Structure`
        What is predicted.
    warm_up : `WarmUp`, optional (default = `None`)
        How long no gradient passes, and how it then sets in.
    """

    default_implementation = "spigot"
    needs = ("argmax",)
    """The operations of a structure without which there is nothing to go forward or back."""
    has_target: bool = False
    """Whether what stands for `dL/ds` is the way to a target: the difference of two points of a polytope."""
    max_gradient_norm: float | None = None
    """To what norm each sentence's `dL/dz` is scaled down; `None` if it is not."""
    observer: Observer | None = None
    """
    What is told of each forward pass: the scores, as a node of autograd's graph at which what stands for `dL/ds`
    arrives, by itself and before any warm-up; the mask; and what goes forward. It must not change them.
    """

    def __init__(self, structure: Structure, warm_up: Optional[WarmUp] = None) -> None:
        super().__init__()
        structure.require(*self.needs, by=registered_name(self, StructuredArgmax))
        self.structure = structure
        self.warm_up = warm_up
        self.factor: torch.Tensor | float = 1.0
        """By what the loss was multiplied on its way back."""

    @property
    def passes_mixture(self) -> bool:
        """Whether a mixture of structures goes forward now, and not a single one."""
        return False

    @property
    def needs_loss(self) -> bool:
        """Whether the rule asks for gradients at other points than what goes forward, and `forward` for `loss_at`."""
        return False

    def forward(self, scores: Cells, mask: AnyMask, loss_at: LossAt | None = None) -> Cells:
        """
        # Parameters

        scores : `torch.Tensor`
            The scores of all parts, floating; `(batch, length, length)` for trees.
        mask : `torch.Tensor`
            `(batch, length)`, bool.
        loss_at : `Callable[[torch.Tensor], torch.Tensor]`, optional (default = `None`)
            The loss that a structure, or a mixture of them, of the shape of `scores`, leads to: the second stage as a
            function, summed over the batch, `()`. Only rules that [`needs_loss`](#needs_loss) call it, in the backward
            pass; parameters get no gradient from that.

        # Returns

        `torch.Tensor`
            The structures, of the shape, dtype and device of `scores`; 0 where there is no part. The gradient of
            `scores` is 0 there too; and where -inf forbids a part, `dL/dz` is not looked at.
        """
        if not _computes_again():
            self.factor = 1.0
        if scores.requires_grad and torch.is_grad_enabled():
            # A node of its own, even without a warm-up: gradients are then added up in one order, observed or not.
            scores = scores.view_as(scores) if self.warm_up is None else self.warm_up(scores)
        if self.observer is None:
            return self.take(scores, mask, loss_at)
        scores = scores.view_as(scores)
        z = self.take(scores, mask, loss_at)
        self.observer(scores, mask, z)
        return z

    def take(self, scores: Cells, mask: AnyMask, loss_at: LossAt | None = None) -> Cells:
        """What `forward` returns, with the gradient of the rule; parameters are those of `forward`."""
        raise NotImplementedError

    def chosen(self, scores: Cells, mask: AnyMask, z: Cells) -> Cells:
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
            `()`, computed from what `forward` returned last.
        """
        if loss.requires_grad:
            loss.register_hook(self._see_factor)

    def _see_factor(self, factor: torch.Tensor) -> None:
        # Where it is 0, so is what comes back.
        self.factor = factor.detach().float().masked_fill(factor == 0, 1.0)


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


class Step(NamedTuple):
    """
    A step downhill.

    size : `float` or `torch.Tensor`
        The step size, a number.
    gradient : `torch.Tensor`
        `dL/dz` at what went forward, of its shape: clipped, 0 off the parts, in float32 or float64.
    gradient_at : `Callable[[torch.Tensor], torch.Tensor]`
        The same at another point, for rules that [`needs_loss`](#needs_loss).
    """

    size: float | torch.Tensor
    gradient: torch.Tensor
    gradient_at: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, point: torch.Tensor | None = None) -> torch.Tensor:
        """The step size times the gradient at a point or, for `None`, at what went forward."""
        return self.size * (self.gradient if point is None else self.gradient_at(point))


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
    warm_up : `WarmUp`, optional (default = `None`)
        How long no gradient passes, and how it then sets in.
    """

    def __init__(
        self,
        structure: Structure,
        step_size: StepSizeLike,
        max_gradient_norm: Optional[float],
        warm_up: Optional[WarmUp] = None,
    ) -> None:
        super().__init__(structure, warm_up)
        self.step_size = step_size if isinstance(step_size, StepSize) else ConstantStepSize(step_size)
        self.max_gradient_norm = None if max_gradient_norm is None else positive("max_gradient_norm", max_gradient_norm)

    def take(self, scores: Cells, mask: AnyMask, loss_at: LossAt | None = None) -> Cells:
        if self.needs_loss and loss_at is None and scores.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{registered_name(self, StructuredArgmax)} with these settings needs loss_at, found none")
        # Asked for in the backward pass, once, so that a schedule knows nothing of passes that are computed again.
        step_size = cache(self.step_size)
        loss_at = loss_at and _in_the_same_precision(loss_at, scores.device.type)

        def decode(scores: Cells) -> Cells:
            return self.decode(scores, mask)

        def pull_back(scores: Cells, z: Cells, d_z: Cells) -> Cells:
            # float16 and bfloat16 would lose small steps.
            dtype = torch.promote_types(d_z.dtype, torch.float32)
            parts = self.structure.parts(scores, mask) & (scores > -torch.inf)
            gradient = d_z.to(dtype).where(parts, 0.0) / self.factor
            # A gradient that is not finite is not to stop here: whoever scales losses skips the step and goes on.
            broken = ~gradient.isfinite().flatten(1).all(dim=1).view(-1, *[1] * (gradient.dim() - 1))

            def clip(gradient: torch.Tensor) -> torch.Tensor:
                return clip_norm(gradient.masked_fill(broken, 0.0), self.max_gradient_norm)

            def gradient_at(point: torch.Tensor) -> torch.Tensor:
                return clip(_gradient_of(loss_at, point.to(d_z.dtype)).to(dtype).where(parts, 0.0))

            step = Step(step_size(), clip(gradient), gradient_at)
            d_scores = self.pull_back(scores.to(dtype), z.to(dtype), step, mask) * self.factor
            return d_scores.masked_fill(broken, torch.nan).to(d_z.dtype)

        return Surrogate.apply(scores, decode, pull_back)

    def decode(self, scores: Cells, mask: AnyMask) -> Cells:
        """What goes forward."""
        return self.structure.argmax(scores, mask)

    def pull_back(self, scores: Cells, z: Cells, step: Step, mask: AnyMask) -> Cells:
        """What stands for `dL/ds`, given what went forward."""
        raise NotImplementedError


def clip_norm(gradient: Cells, max_norm: Optional[float]) -> Cells:
    """Scales each sentence's part of `gradient`, `(batch, ...)`, to a Euclidean norm of at most `max_norm`."""
    if max_norm is None:
        return gradient
    norm = gradient.flatten(1).norm(dim=1).view(-1, *[1] * (gradient.dim() - 1))
    return gradient * (max_norm / norm.clamp(min=max_norm))


def _computes_again() -> bool:
    """Whether a backward pass is on its way: a forward pass in it is one that activation checkpointing repeats."""
    return torch._C._current_graph_task_id() >= 0


def _in_the_same_precision(loss_at: LossAt, device: str) -> LossAt:
    """`loss_at` under the autocast of this moment, which the backward pass leaves."""
    autocast = torch.autocast(device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))
    return autocast(loss_at)


def _gradient_of(loss_at: LossAt, point: torch.Tensor) -> torch.Tensor:
    with torch.enable_grad():
        point = point.detach().requires_grad_()
        return torch.autograd.grad(loss_at(point), point)[0]
