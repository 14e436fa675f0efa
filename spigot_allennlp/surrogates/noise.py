import torch
from allennlp.common import Registrable

from spigot_allennlp.checks import whole

# The mean of the standard Gumbel distribution.
EULER = 0.5772156649015329


class Noise(Registrable):
    """Noise that makes the best structure a sample: independent for all cells, of mean 0."""

    default_implementation = "gumbel"

    def like(self, scores: torch.Tensor) -> torch.Tensor:
        """Noise of the shape, dtype and device of `scores`."""
        if not scores.is_floating_point():
            raise ValueError(f"expected floating scores, found {scores.dtype}")
        # What is drawn may be too small for half precision. How the scores lie in memory is not to matter.
        dtype = torch.promote_types(scores.dtype, torch.float32)
        empty = torch.empty_like(scores, dtype=dtype, memory_format=torch.contiguous_format)
        return self.draw(empty).to(scores.dtype)

    def draw(self, empty: torch.Tensor) -> torch.Tensor:
        """Noise of the shape, dtype and device of `empty`, float32 or float64, which may be written to."""
        raise NotImplementedError


@Noise.register("gumbel")
class GumbelNoise(Noise):
    """
    Standard Gumbel noise. Were every *structure* given such noise of its own, the best one would be a sample from
    `p(z)` proportional to `exp(s . z)`. Registered as a `Noise` with name "gumbel", which is the default.
    """

    def draw(self, empty: torch.Tensor) -> torch.Tensor:
        return -empty.exponential_().clamp(min=torch.finfo(empty.dtype).tiny).log() - EULER


@Noise.register("sum_of_gamma")
class SumOfGammaNoise(Noise):
    """
    Noise of which `k` draws have standard Gumbel noise as their sum, so that structures of `k` parts have it, although
    not independently: `sum_i gamma_i / i`, `i` from 1 to `num_terms`, less its mean, where `gamma_i` are drawn from
    Gamma distributions of shape `1 / k` ([Niepert et al., 2021](https://arxiv.org/abs/2106.01798), section 3.2). With
    finitely many terms it is that nearly: the variance of the sum lacks about `1 / num_terms`, of 1.64.

    Registered as a `Noise` with name "sum_of_gamma".

    # Parameters

    k : `int`
        How many parts a structure has.
    num_terms : `int`, optional (default = `10`)
        How many terms of the series are summed.
    """

    def __init__(self, k: int, num_terms: int = 10) -> None:
        self.k = whole("k", k)
        self.num_terms = whole("num_terms", num_terms)

    def draw(self, empty: torch.Tensor) -> torch.Tensor:
        shape = torch.full_like(empty, 1 / self.k)
        terms = range(1, self.num_terms + 1)
        # Each term of mean 0, so that the sum is.
        return sum((torch._standard_gamma(shape) - 1 / self.k) / i for i in terms)
