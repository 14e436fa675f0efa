"""How a tensor reaches a compiled decoder and the answer comes back."""

from collections.abc import Callable
from typing import Any

import torch

from spigot_allennlp.nn.arcs import check_arc_shapes
from spigot_allennlp.nn.errors import raise_for_status


def decode_on_host(
    kernel: Callable[..., tuple[int, int]], scores: torch.Tensor, mask: torch.Tensor, *options: Any
) -> torch.Tensor:
    """As `fill_on_host`, once the shapes of arc scores and their mask are checked."""
    check_arc_shapes(scores, mask)
    return fill_on_host(kernel, scores, mask, *options)


def fill_on_host(
    kernel: Callable[..., tuple[int, int]], scores: torch.Tensor, mask: torch.Tensor, *options: Any
) -> torch.Tensor:
    """
    Runs `kernel(scores, mask, *options, z)` on numpy arrays and returns the `z` it fills, with the dtype and device of
    `scores`: one transfer each way where that is not the CPU. Raises what the kernel's status stands for.
    """
    values = scores.detach().to("cpu", torch.promote_types(scores.dtype, torch.float32)).contiguous()
    z = torch.zeros_like(values)
    status, sentence = kernel(values.numpy(), mask.cpu().contiguous().numpy(), *options, z.numpy())
    raise_for_status(status, sentence)
    return z.to(scores.device, scores.dtype)
