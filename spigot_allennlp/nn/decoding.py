"""How a tensor reaches a compiled decoder and the answer comes back."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from spigot_allennlp.nn.arcs import check_arc_shapes
from spigot_allennlp.nn.errors import check_count, raise_for_status
from spigot_allennlp.nn.sampling import draw_seeds
from spigot_allennlp.nn.shapes import Arcs, Mask


def decode_on_host(kernel: Callable[..., tuple[int, int]], scores: Arcs, mask: Mask, *options: Any) -> Arcs:
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


def sample_on_host(
    kernel: Callable[..., tuple[int, int]],
    scores: torch.Tensor,
    mask: torch.Tensor,
    *options: Any,
    num_samples: int,
    generator: torch.Generator | None,
) -> torch.Tensor:
    """
    Runs `kernel(scores, mask, *options, seeds, choices)` on numpy arrays, `scores` as float64, and returns the
    `choices` it fills, `(num_samples, batch, length)` int64, -1 where there is none, on the device of `scores`.
    """
    check_count("num_samples", num_samples)
    seeds = draw_seeds(num_samples, len(scores), generator=generator)
    choices = torch.full((num_samples, *mask.shape), -1)
    status, sentence = kernel(*_arrays(scores, mask), *options, seeds.numpy(), choices.numpy())
    raise_for_status(status, sentence)
    return choices.to(scores.device)


def k_best_on_host(
    kernel: Callable[..., tuple[int, int]], scores: torch.Tensor, mask: torch.Tensor, *options: Any, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Runs `kernel(scores, mask, *options, choices, totals)` likewise. Returns the `choices`, `(k, batch, length)`, and
    the `totals`, `(k, batch)` with the dtype of `scores`, -inf where there are fewer.
    """
    check_count("k", k)
    choices = torch.full((k, *mask.shape), -1)
    totals = torch.full((k, len(mask)), -torch.inf, dtype=torch.double)
    status, sentence = kernel(*_arrays(scores, mask), *options, choices.numpy(), totals.numpy())
    raise_for_status(status, sentence)
    return choices.to(scores.device), totals.to(scores.device, scores.dtype)


def one_hot(choices: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """
    From `choices`, `(ways, ...)` int64, -1 for none, a 0/1 tensor `(ways, *like.shape)`, 1 at each choice along the
    last axis. It has the dtype of `like`, `(..., options)`.
    """
    z = like.new_zeros((len(choices), *like.shape))
    return z.scatter_(-1, choices.clamp(min=0).unsqueeze(-1), (choices >= 0).to(z.dtype).unsqueeze(-1))


def _arrays(scores: torch.Tensor, mask: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    return scores.detach().to("cpu", torch.double).contiguous().numpy(), mask.cpu().contiguous().numpy()
