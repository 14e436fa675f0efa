"""What follows from the sums and the argmax of every structure, against lists of all there are."""

import pytest
import torch

from tests import oracles
from tests.structures.table import ROWS, Row, every_row, listed

every_sum = pytest.mark.parametrize("row", [row for row in ROWS if "log_partition" in row.operations], ids=str)
NEW = ("constituency_tree", "segmentation", "monotone_alignment")
every_new_row = pytest.mark.parametrize("row", [row for row in ROWS if row.config["type"] in NEW], ids=str)


@every_row
def test_top_k_are_the_best_of_all(row: Row) -> None:
    scores, every = row.random(0, 2), row.structures()
    found, totals = row.build().top_k(scores, row.full_mask(scores), 7)
    of_all = oracles.total_scores(every, scores)
    best = of_all.topk(min(7, len(every)), 1).values.t()
    torch.testing.assert_close(totals[: len(best)], best)
    assert (totals[len(best) :] == -torch.inf).all() and not found[len(best) :].any()
    for rank, structures in enumerate(found[: len(best)]):
        for sentence, z in enumerate(structures):
            (place,) = (every == z).flatten(1).all(1).nonzero()
            torch.testing.assert_close(of_all[sentence, place[0]], totals[rank, sentence])
            assert not (found[:rank, sentence] == z).flatten(1).all(1).any()


@every_sum
def test_entropy_and_log_prob(row: Row) -> None:
    scores, every = row.random(0, 2), row.structures("log_partition")
    log_p = oracles.total_scores(every, scores).log_softmax(1)
    mask = row.full_mask(scores)
    torch.testing.assert_close(row.build().entropy(scores, mask), -(log_p.exp() * log_p).sum(1))
    found = row.build().log_prob(every[:5].unsqueeze(1).expand(-1, 2, *every.shape[1:]), scores, mask)
    torch.testing.assert_close(found, log_p[:, :5].t())


@every_sum
def test_samples_under_every_mask_are_structures(row: Row) -> None:
    mask = row.every_mask(row.length)
    scores = row.random(0, len(mask))
    scores[~row.call("parts", scores, mask)] = torch.nan
    generator = torch.Generator().manual_seed(0)
    samples = row.build().sample(scores, mask, 2, generator)
    again = row.build().sample(scores, mask, 2, generator.manual_seed(0))
    assert torch.equal(samples, again) and samples.dtype == scores.dtype
    for sentence, bits in enumerate(mask):
        sizes = map(len, row.left(bits).values())
        every = listed(row.relaxed.get("log_partition", row.enumerate), *sizes)
        for z in samples[:, sentence]:
            assert not z[~row.used(bits)].any()
            assert (every == row.crop(z, bits)).flatten(1).all(1).any()


@every_new_row
@pytest.mark.parametrize("operation", ["log_partition", "marginals", "sample"])
def test_scores_that_float64_cannot_sum_are_refused(row: Row, operation: str) -> None:
    scores = row.random(0, 2)
    scores[1][row.structures()[-1] > 0] = 3e9
    with pytest.raises(ValueError, match=r"^expected scores up to 1e\+09 .* in sentence 1$"):
        row.call(operation, scores)
    if operation != "sample":
        with pytest.raises(ValueError, match=r"^expected scores up to 1e\+09 .* in sentence 0$"):
            row.call(operation, torch.full_like(scores, -1e10))


@every_new_row
def test_third_derivatives(row: Row) -> None:
    scores = row.random(0, 1, min(row.length, 3)).requires_grad_()
    mask = row.full_mask(scores)
    assert torch.autograd.gradgradcheck(lambda s: row.build().marginals(s, mask), (scores,))
    assert torch.autograd.gradgradcheck(lambda s: row.build().entropy(s, mask), (scores,))
