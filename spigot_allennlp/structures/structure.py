from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from allennlp.common import Registrable
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.nn.linear_rules import LinearRules

# What each operation follows from, where a class does not write it itself.
_FOLLOWS_FROM = {
    "argmax": None,
    "log_partition": None,
    "marginals": "log_partition",
    "project": "argmax",
    "project_local": "project",
}


class Structure(Registrable):
    """
    What is predicted: a finite set `Z` of 0/1 tensors (trees, graphs, label sequences), one set per sentence. A
    structure knows its argmax, its polytope `conv(Z)` and its marginals; it knows nothing of gradients, which are the
    business of [`StructuredArgmax`](../surrogates/structured_argmax.md).

    Only `argmax` has to be written: both projections then follow from it. From `log_partition` follow the marginals.
    [`operations`](#operations) says what a structure can do, and `cells` what its cells mean.

    In every method `scores` (or `point`) is a floating tensor whose first axis is the batch and whose next axes are
    positions of the sentence, and `mask` is `(batch, length)` bool, True for ROOT (where the structure has one) and
    real tokens. Results have the dtype and device of their input, are 0 on everything masked, and never depend on what
    stands there. Inputs are never changed.

    # Raises

    `ValueError` for tensors of other shapes and dtypes, for scores that are NaN or +inf, and where -inf (forbidden
    parts) leaves no legal structure. The message names the sentence by its index in the batch.
    """

    cells = "parts"
    """
    What a cell stands for, in the plural: "heads" where it is the arc of a modifier, `[b, modifier, head]`, and each
    token has one; "labelled arcs", `[b, predicate, argument, label]`; and so on. A model asks for what it can read.
    """

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The best structure, `argmax_{z in Z} scores . z`: a 0/1 tensor of the shape of `scores`."""
        raise NotImplementedError

    def log_partition(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`log sum_{z in Z} exp(scores . z)`, `(batch,)`, differentiable; its gradient is the marginals."""
        raise NotImplementedError

    def marginals(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`E[z]` under `p(z) ~ exp(scores . z)`, of the shape of `scores`, differentiable."""
        create_graph = scores.requires_grad and torch.is_grad_enabled()
        with torch.enable_grad():
            scores = scores if create_graph else scores.detach().requires_grad_(scores.is_floating_point())
            log_z = self.log_partition(scores, mask).sum()
            return torch.autograd.grad(log_z, scores, create_graph=create_graph)[0]

    def project(self, point: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The nearest point of `conv(Z)`, to 1e-6 in each coordinate, of the shape of `point`, differentiable."""
        return project_onto_hull_of(self.argmax, point, mask)

    def project_local(self, point: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        The nearest point of a cheap relaxation, a polytope that contains `Z` and has the same 0/1 points or more.
        Where there is none, that is the hull itself. Unlike the other methods it need not check its input: of NaN it
        may make NaN.
        """
        return self.project(point, mask)

    def polytopes(self) -> dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]:
        """By the names that configs use, the projections onto polytopes around `Z`."""
        return {"local": self.project_local, "exact": self.project}

    def parts(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        Which cells stand for a part at all, bool, of the shape of `scores`; others get no gradient. All, unless a
        structure says otherwise.
        """
        return torch.ones_like(scores, dtype=torch.bool)

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """
        What makes a structure, in the linear rules that the 0/1 cells of one sentence obey; cells that are False in
        `parts`, bool and of their shape, are 0. For [`Constrained`](./constrained.md). Where these rules are not all
        there is to it, [`cuts`](#cuts) has the rest.
        """
        raise NotImplementedError

    def cuts(self, z: np.ndarray, parts: np.ndarray) -> LinearRules:
        """Rules that all structures obey and `z`, 0/1 cells that obey `linear_rules`, breaks: none if it is one."""
        return LinearRules()

    def operations(self) -> frozenset[str]:
        """The names of the methods that can be called: those that the class writes, and those that follow from them."""

        def is_there(operation: str | None) -> bool:
            if operation is None:
                return False
            is_written = getattr(type(self), operation) is not getattr(Structure, operation)
            return is_written or is_there(_FOLLOWS_FROM[operation])

        return frozenset(filter(is_there, _FOLLOWS_FROM))

    def require(self, *operations: str, by: str) -> None:
        """Raises `ConfigurationError` where an operation that `by` needs is missing."""
        for operation in operations:
            if operation not in self.operations():
                raise ConfigurationError(f"{by} needs {operation}, and {registered_name(self, Structure)} has none")


def registered_name(instance: Registrable, registry: type[Registrable]) -> str:
    """The name that configs have for the class of `instance` or, where it is not registered, that of the class."""
    kind = type(instance)
    return next((name for name in registry.list_available() if registry.by_name(name) is kind), kind.__name__)


def project_onto_hull_of(
    argmax: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], point: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """The projection of [`project_onto_hull`](../nn/active_set.md), differentiable."""
    return _HullProjection.apply(point, mask, argmax)


class _HullProjection(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        point: torch.Tensor,
        mask: torch.Tensor,
        argmax: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        from spigot_allennlp.nn.active_set import project_onto_hull

        # The argmax sees all of its input first, and says what is wrong with it.
        active_set = project_onto_hull(point, argmax, mask, initial=argmax(point, mask))
        # The output itself would tie a knot of references that only the garbage collector unties.
        ctx.active_set = active_set._replace(projection=active_set.projection.detach())
        return active_set.projection

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_projection: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.active_set.vjp(d_projection), None, None
