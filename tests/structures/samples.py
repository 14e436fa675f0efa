"""Whether what a structure draws is distributed as it should be."""

import torch
from scipy.stats import chi2

from spigot_allennlp.structures import Structure
from tests import oracles


def assert_samples_follow(
    structure: Structure, scores: torch.Tensor, structures: torch.Tensor, num_samples: int = 20_000
) -> None:
    """
    A test by χ² of draws for full sentences against all there are, `(n, ...)`: those that are expected less than 5
    times count together. A right sampler fails it for one seed of 10,000.
    """
    mask = torch.ones(scores.shape[:2], dtype=torch.bool)
    samples = structure.sample(scores, mask, num_samples, torch.Generator().manual_seed(0))
    assert samples.shape == (num_samples, *scores.shape) and samples.dtype == scores.dtype
    names = structures.flatten(1) @ torch.arange(1, structures[0].numel() + 1).double().sqrt()
    for b, s in enumerate(scores):
        drawn = samples[:, b].double().flatten(1) @ torch.arange(1, s.numel() + 1).double().sqrt()
        is_one = (drawn.unsqueeze(1) - names).abs() < 1e-9
        assert (is_one.sum(1) == 1).all()
        counts, expected = (
            is_one.sum(0).double(),
            oracles.total_scores(structures, s.unsqueeze(0))[0].softmax(0) * num_samples,
        )
        rare = expected < 5
        assert not counts[expected == 0].any()
        counts = torch.cat((counts[~rare], counts[rare].sum(0, keepdim=True)))
        expected = torch.cat((expected[~rare], expected[rare].sum(0, keepdim=True)))
        counts, expected = counts[expected > 0], expected[expected > 0]
        statistic = ((counts - expected) ** 2 / expected).sum().item()
        assert statistic < chi2.isf(1e-4, len(counts) - 1)
