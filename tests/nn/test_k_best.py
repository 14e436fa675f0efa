import itertools

import pytest
import torch

from spigot_allennlp.nn.k_best import k_best, k_best_sums


@pytest.mark.parametrize("num_terms", [1, 2, 3, 5])
@pytest.mark.parametrize("k", [1, 4, 300])
@pytest.mark.parametrize("digits", [0, 9])
def test_k_best_sums_are_the_best_of_all(num_terms: int, k: int, digits: int) -> None:
    generator = torch.Generator().manual_seed(num_terms)
    terms = torch.randn(3, num_terms, 3, generator=generator).double().round(decimals=digits)
    terms[1, 0, 1:] = -torch.inf
    sums, options = k_best_sums(terms, k)
    assert sums.shape == (3, k) and options.shape == (3, k, num_terms)
    every = torch.tensor(list(itertools.product(range(3), repeat=num_terms)))
    for row, found, chosen in zip(terms, sums, options, strict=True):
        worth = row[torch.arange(num_terms), every].sum(1).sort(descending=True).values
        worth = torch.nn.functional.pad(worth, (0, k), value=-torch.inf)[:k]
        torch.testing.assert_close(found, worth)
        chosen = chosen[found > -torch.inf]
        assert len(chosen.unique(dim=0)) == len(chosen)
        torch.testing.assert_close(row[torch.arange(num_terms), chosen].sum(1), found[found > -torch.inf])


def test_structures_of_all_sizes() -> None:
    """Every set of cells: what is best has to be left out cell by cell, and what is not be put in."""

    def argmax(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return (scores > 0).to(scores.dtype)

    scores = torch.randn(2, 5, generator=torch.Generator().manual_seed(0)).double()
    scores[1, 2] = -torch.inf
    mask = torch.ones(2, 5, dtype=torch.bool)
    structures, totals = k_best(argmax, scores, mask, mask, 40)
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * 5)
    for sentence in range(2):
        worth = torch.where(every > 0, scores[sentence], 0.0).sum(1).sort(descending=True).values
        torch.testing.assert_close(totals[:32, sentence], worth)
        is_there = totals[:, sentence] > -torch.inf
        assert is_there.sum() == (32, 16)[sentence]
        assert len(structures[is_there, sentence].unique(dim=0)) == is_there.sum()
        assert not structures[~is_there, sentence].any()
