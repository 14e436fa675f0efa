"""Random numbers and choices. They are drawn where the generator lives, the CPU if there is none, and then moved."""

import torch


def draw_options(logits: torch.Tensor, num_samples: int, generator: torch.Generator | None) -> torch.Tensor:
    """
    Of each vector of `logits`, `(..., options)` float64, independent options, each with probability `~ exp(logits)`:
    `(num_samples, ...)` int64. What is -inf is never drawn.
    """
    cumulative = logits.softmax(-1).cumsum(-1)
    total = cumulative[..., -1:].contiguous()
    uniform = draw_uniform(*logits.shape[:-1], num_samples, like=logits, generator=generator)
    option = torch.searchsorted(cumulative, uniform * total, right=True)
    # The product may have been rounded up to the total, which the last option that can be drawn reaches.
    return option.minimum(torch.searchsorted(cumulative, total)).movedim(-1, 0)


def draw_uniform(*shape: int, like: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Uniform numbers in [0, 1), float64, on the device of `like`."""
    home = torch.device("cpu") if generator is None else generator.device
    return torch.rand(shape, dtype=torch.double, device=home, generator=generator).to(like.device)


def draw_seeds(*shape: int, generator: torch.Generator | None) -> torch.Tensor:
    """Seeds for compiled samplers, int64, on the CPU."""
    home = torch.device("cpu") if generator is None else generator.device
    return torch.randint(-(2**63), 2**63 - 1, shape, device=home, generator=generator).cpu()
