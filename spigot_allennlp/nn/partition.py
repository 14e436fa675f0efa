"""Log-partition functions and marginals as differentiable functions, given an algorithm that computes the numbers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from spigot_allennlp.nn.errors import raise_for_status
from spigot_allennlp.nn.kernels import OUT_OF_RANGE

# Small enough for its square to vanish beside 1, large enough that products with tiny probabilities do not underflow.
EPSILON = 1e-50


class Summation(NamedTuple):
    """
    How to sum over all structures.

    numbers : `Callable`
        Given float64 scores, `(batch_size, length, length)`, a mask, options such as whether there is a single root,
        and as `direction` a tensor like the scores or `None`, returns `log Z`, `(batch_size,)`, and the marginals or,
        with a direction, their derivative in that direction. With `with_marginals=False`, which only
        [`log_partition`](#log_partition) asks for, what it returns in their place does not matter.
    operations : `Callable`
        The same, but for the direction, by torch operations, so that it can be differentiated any number of times.
    """

    numbers: Callable[..., tuple[torch.Tensor, torch.Tensor]]
    operations: Callable[..., tuple[torch.Tensor, torch.Tensor]]


def log_partition(summation: Summation, scores: torch.Tensor, mask: torch.Tensor, *options: Any) -> torch.Tensor:
    """`log Z`, `(batch_size,)`; at less cost than with the marginals where no gradient is going to be asked for."""
    if scores.requires_grad and torch.is_grad_enabled():
        return log_partition_and_marginals(summation, scores, mask, *options)[0]
    log_z, _ = summation.numbers(scores.double(), mask, *options, direction=None, with_marginals=False)
    return log_z.to(scores.dtype)


def log_partition_and_marginals(
    summation: Summation, scores: torch.Tensor, mask: torch.Tensor, *options: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    `log Z`, `(batch_size,)`, and the marginals, like `scores`: both differentiable any number of times, though only the
    first derivative of the marginals is as fast as they are.
    """
    log_z, marginals = _Sums.apply(scores.double(), mask, options, summation)
    return log_z.to(scores.dtype), marginals.to(scores.dtype)


class _Sums(torch.autograd.Function):
    """
    The gradient of `log Z` is the marginals. Their Jacobian is its Hessian, hence symmetric: its product with a
    gradient from the left is the derivative of the marginals in the direction of that gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, scores: torch.Tensor, mask: torch.Tensor, options: tuple, summation: Summation
    ) -> tuple[torch.Tensor, torch.Tensor]:
        log_z, marginals = summation.numbers(scores, mask, *options, direction=None)
        ctx.save_for_backward(scores, mask, marginals)
        ctx.options = options, summation
        ctx.set_materialize_grads(False)
        return log_z, marginals

    @staticmethod
    def backward(
        ctx: Any, d_log_z: torch.Tensor | None, d_marginals: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, None, None, None]:
        scores, mask, marginals = ctx.saved_tensors
        d_scores = None
        if d_log_z is not None:
            d_scores = d_log_z.view(-1, 1, 1) * marginals
        if d_marginals is not None:
            product = _HessianProduct.apply(d_marginals, scores, mask, *ctx.options)
            d_scores = product if d_scores is None else d_scores + product
        return d_scores, None, None, None


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
        ctx.save_for_backward(direction, scores, mask)
        ctx.options = options, summation
        return summation.numbers(scores, mask, *options, direction=direction)[1]

    @staticmethod
    def backward(
        ctx: Any, d_product: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None, None]:
        direction, scores, mask = ctx.saved_tensors
        options, summation = ctx.options
        d_direction = d_scores = None
        if ctx.needs_input_grad[0]:
            d_direction = _HessianProduct.apply(d_product, scores, mask, options, summation)
        if ctx.needs_input_grad[1]:
            # Nobody has written the third derivatives of `log Z` down: autograd finds them.
            create_graph = torch.is_grad_enabled()
            with torch.enable_grad():
                if not create_graph:
                    direction, scores = direction.detach(), scores.detach().requires_grad_()
                marginals = summation.operations(scores, mask, *options)[1]
                if not marginals.requires_grad:
                    # They are constant: no sentence has more than one token.
                    return d_direction, torch.zeros_like(scores), None, None, None
                (product,) = torch.autograd.grad(marginals, scores, direction, create_graph=True)
                (d_scores,) = torch.autograd.grad(product, scores, d_product, create_graph=create_graph)
        return d_direction, d_scores, None, None, None


def sum_on_host(
    kernel: Callable[..., tuple[int, int]],
    scores: torch.Tensor,
    mask: torch.Tensor,
    *options: Any,
    direction: torch.Tensor | None,
    with_marginals: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The numbers of a [`Summation`](#summation) by a compiled kernel on the CPU, copied there and back where the
    scores are elsewhere. The derivative is taken by a complex step ([Squire & Trapp,
    1998](https://doi.org/10.1137/S003614459631241X)): exact, as nothing is subtracted, and by the same code. Raises
    `FloatingPointError` where the numbers leave the kernel's range.
    """
    values = scores.detach().cpu()
    if direction is not None:
        values = torch.complex(values, EPSILON * direction.cpu())
    log_z = values.new_zeros(len(values))
    marginals = torch.zeros_like(values) if with_marginals else values.new_zeros(0, *values.shape[1:])
    status, sentence = kernel(
        values.contiguous().numpy(), mask.cpu().contiguous().numpy(), *options, log_z.numpy(), marginals.numpy()
    )
    if status == OUT_OF_RANGE:
        raise FloatingPointError
    raise_for_status(status, sentence)
    numbers = marginals if direction is None else marginals.imag / EPSILON
    return log_z.real.to(scores.device), numbers.to(scores.device)


def sum_by_autograd(
    function: Callable[..., tuple[torch.Tensor, torch.Tensor]],
    scores: torch.Tensor,
    mask: torch.Tensor,
    *options: Any,
    direction: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The numbers of a [`Summation`](#summation) by its operations."""
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
