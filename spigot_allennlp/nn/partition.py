"""Log-partition functions and marginals as differentiable functions, given an algorithm that computes the numbers."""

from collections.abc import Callable
from typing import Any, Protocol

import torch

from spigot_allennlp.nn.errors import raise_for_status
from spigot_allennlp.nn.kernels import OUT_OF_RANGE

# Small enough for its square to vanish beside 1, large enough that products with tiny probabilities do not underflow.
EPSILON = 1e-50


class Summation(Protocol):
    """
    An algorithm that sums over all structures: given float64 scores `(batch_size, length, length)`, a mask, and options
    such as whether there is a single root, it returns `log Z`, `(batch_size,)`, and either the marginals, or, where a
    direction like the scores is given, the marginals' derivative in this direction.
    """

    def __call__(
        self, scores: torch.Tensor, mask: torch.Tensor, *options: Any, direction: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]: ...


def log_partition(summation: Summation, scores: torch.Tensor, mask: torch.Tensor, *options: Any) -> torch.Tensor:
    """`log Z`, `(batch_size,)`, twice differentiable: its gradient is the marginals."""
    return _LogPartition.apply(scores.double(), mask, options, summation).to(scores.dtype)


def marginals(summation: Summation, scores: torch.Tensor, mask: torch.Tensor, *options: Any) -> torch.Tensor:
    """The marginals, of the shape of `scores`, once differentiable."""
    return _Marginals.apply(scores.double(), mask, options, summation).to(scores.dtype)


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, scores: torch.Tensor, mask: torch.Tensor, options: tuple, summation: Summation
    ) -> torch.Tensor:
        log_z, marginals = summation(scores, mask, *options)
        ctx.save_for_backward(scores, mask, marginals)
        ctx.options = options, summation
        return log_z

    @staticmethod
    def backward(ctx: Any, d_log_z: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        scores, mask, marginals = ctx.saved_tensors
        if torch.is_grad_enabled():
            marginals = _Marginals.apply(scores, mask, *ctx.options)
        return d_log_z.view(-1, 1, 1) * marginals, None, None, None


class _Marginals(torch.autograd.Function):
    """
    The marginals' Jacobian is the Hessian of `log Z`, hence symmetric: its product with a gradient from the left is the
    derivative of the marginals in the direction of that gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, scores: torch.Tensor, mask: torch.Tensor, options: tuple, summation: Summation
    ) -> torch.Tensor:
        ctx.save_for_backward(scores, mask)
        ctx.options = options, summation
        return summation(scores, mask, *options)[1]

    @staticmethod
    def backward(ctx: Any, d_marginals: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return _HessianProduct.apply(d_marginals, *ctx.saved_tensors, *ctx.options), None, None, None


class _HessianProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        direction: torch.Tensor,
        scores: torch.Tensor,
        mask: torch.Tensor,
        options: tuple,
        summation: Summation,
    ) -> torch.Tensor:
        return summation(scores, mask, *options, direction=direction)[1]

    @staticmethod
    def backward(ctx: Any, d_product: torch.Tensor) -> None:
        raise NotImplementedError("third derivatives of a log-partition function")


def sum_on_host(
    kernel: Callable[..., tuple[int, int]],
    scores: torch.Tensor,
    mask: torch.Tensor,
    *options: Any,
    direction: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    A `Summation` by a compiled kernel on the CPU. The derivative is taken by a complex step
    ([Squire & Trapp, 1998](https://doi.org/10.1137/S003614459631241X)): exact, as nothing is subtracted, and by the
    same code. Raises `FloatingPointError` where the numbers leave the kernel's range.
    """
    scores = scores.detach()
    values = scores if direction is None else torch.complex(scores, EPSILON * direction)
    log_z = values.new_zeros(len(values))
    marginals = torch.zeros_like(values)
    status, sentence = kernel(
        values.contiguous().numpy(), mask.contiguous().numpy(), *options, log_z.numpy(), marginals.numpy()
    )
    if status == OUT_OF_RANGE:
        raise FloatingPointError
    raise_for_status(status, sentence)
    return log_z.real, marginals if direction is None else marginals.imag / EPSILON


def sum_by_autograd(
    function: Callable[..., tuple[torch.Tensor, torch.Tensor]],
    scores: torch.Tensor,
    mask: torch.Tensor,
    *options: Any,
    direction: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A `Summation` by a function of torch operations that returns `log Z` and the marginals, on any device."""
    if direction is None:
        return function(scores.detach(), mask, *options)
    with torch.enable_grad():
        scores = scores.detach().requires_grad_()
        log_z, marginals = function(scores, mask, *options)
        if not marginals.requires_grad:
            # They are constant: no sentence has more than one token.
            return log_z, torch.zeros_like(marginals)
        (derivative,) = torch.autograd.grad(marginals, scores, direction)
    return log_z, derivative
