"""Sentences of random scores, for tests of single structures."""

import pytest
import torch

either_root = pytest.mark.parametrize("single_root", [False, True])


def random_scores(batch_size: int, length: int, seed: int = 0) -> torch.Tensor:
    """Of heads: `(batch_size, length, length)` float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch_size, length, length, generator=generator, dtype=torch.float64)


def full_mask(scores: torch.Tensor) -> torch.Tensor:
    """`(batch, length)` bool, from scores `(batch, length, ...)`."""
    return torch.ones(scores.shape[:2], dtype=torch.bool)
