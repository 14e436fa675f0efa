import pytest
import torch

from spigot_allennlp.structures import MonotoneAlignment
from tests import oracles
from tests.structures.samples import assert_samples_follow

STRUCTURE = MonotoneAlignment()
METHODS = ("argmax", "log_partition", "marginals", "sample", "project", "project_local")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def block(shape: tuple[int, int], *sizes: tuple[int, int]) -> torch.Tensor:
    """Masks of `shape`, of which the first rows and columns are there."""
    rows, columns = torch.tensor(sizes).unbind(1)
    has_row = torch.arange(shape[0]) < rows.unsqueeze(1)
    has_column = torch.arange(shape[1]) < columns.unsqueeze(1)
    return has_row.unsqueeze(2) & has_column.unsqueeze(1)


def assert_is_path(z: torch.Tensor) -> None:
    """From the first cell to the last, by steps of at most one row and one column; `z` has no padding."""
    cells = z.nonzero()
    assert cells[0].tolist() == [0, 0] and cells[-1].tolist() == [z.size(0) - 1, z.size(1) - 1]
    steps = cells[1:] - cells[:-1]
    assert ((steps >= 0) & (steps <= 1)).all() and (steps.sum(1) > 0).all()


def test_masks_of_cells_are_those_of_rows_and_columns():
    scores = random(3, 5, 6)
    mask = block((5, 6), (5, 6), (3, 4), (0, 0))
    mask[0, :, 2] = False
    mask[0, 3] = False
    noise = scores.where(mask, torch.nan)
    kept = [(torch.tensor([0, 1, 2, 4]), torch.tensor([0, 1, 3, 4, 5])), (torch.arange(3), torch.arange(4))]
    for method in METHODS:
        if method != "sample":
            result = getattr(STRUCTURE, method)(noise, mask)
            for b, (rows, columns) in enumerate(kept):
                cropped = scores[b][rows][:, columns].unsqueeze(0)
                alone = getattr(STRUCTURE, method)(cropped, torch.ones_like(cropped, dtype=torch.bool))[0]
                found = result[b] if method == "log_partition" else result[b][rows][:, columns]
                torch.testing.assert_close(found, alone, rtol=0, atol=1e-6)
            assert not result[2].any()
            assert method == "log_partition" or not result[~mask].any()


def test_cells_outside_of_a_band_are_not_visited():
    scores = random(2, 6, 6)
    mask = ((torch.arange(6).unsqueeze(1) - torch.arange(6)).abs() <= 1).expand(2, 6, 6)
    forbidden = scores.masked_fill(~mask, -torch.inf)
    everywhere = torch.ones(2, 6, dtype=torch.bool)
    for method in ("argmax", "log_partition", "marginals"):
        function = getattr(STRUCTURE, method)
        torch.testing.assert_close(function(scores, mask), function(forbidden, everywhere))
    assert not STRUCTURE.sample(scores, mask, 50)[:, ~mask].any()
    mask = mask.clone()
    mask[1, 2, 1:4] = mask[1, 3, 1:4] = False
    mask[1, 2, 5] = mask[1, 3, 5] = True
    for method in ("argmax", "log_partition", "marginals", "sample"):
        with pytest.raises(ValueError, match="sentence 1 has no legal structure"):
            getattr(STRUCTURE, method)(scores, mask)


@pytest.mark.parametrize(("rows", "columns"), [(40, 60), (150, 90)])
def test_long_sequences(rows, columns):
    scores = random(3, rows, columns)
    sizes = [(rows, columns), (rows - 9, columns - 20), (1, 7)]
    mask = block((rows, columns), *sizes)
    z, marginals = STRUCTURE.argmax(scores, mask), STRUCTURE.marginals(scores, mask)
    samples = STRUCTURE.sample(scores, mask, 3)
    for b, (r, c) in enumerate(sizes):
        for path in (z[b], *samples[:, b]):
            assert_is_path(path[:r, :c])
            assert path.sum() == path[:r, :c].sum()
        # Every path crosses each antidiagonal, in a cell or between two, and begins and ends in the corners.
        assert marginals[b, 0, 0].item() == pytest.approx(1) == marginals[b, r - 1, c - 1].item()
        assert (marginals[b, :r].sum(1) > 1 - 1e-9).all() and (marginals[b, :, :c].sum(0) > 1 - 1e-9).all()
    temperature = 1e-6
    log_z = STRUCTURE.log_partition(scores / temperature, mask) * temperature
    best = (z * scores).sum((1, 2))
    assert (best <= log_z + 1e-9).all() and (log_z <= best + temperature * 2 * (rows + columns)).all()


def test_the_number_of_paths_of_long_sequences():
    """The Delannoy numbers: `D(n, n) = sum_k binomial(n, k)^2 2^k`."""
    n = 150
    k = torch.arange(n + 1, dtype=torch.double)
    log_binomial = torch.lgamma(torch.tensor(n + 1.0).double()) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    expected = (2 * log_binomial + k * torch.tensor(2.0).double().log()).logsumexp(0)
    log_z = STRUCTURE.log_partition(torch.zeros(1, n + 1, n + 1).double(), torch.ones(1, n + 1, dtype=torch.bool))
    assert log_z.item() == pytest.approx(expected.item(), rel=1e-12)


def test_second_derivatives():
    scores = random(2, 4, 3).requires_grad_()
    mask = block((4, 3), (4, 3), (2, 3))
    assert torch.autograd.gradgradcheck(lambda s: STRUCTURE.log_partition(s, mask), scores)
    assert torch.autograd.gradcheck(lambda s: STRUCTURE.marginals(s, mask), scores)


def test_derivatives_are_finite_where_cells_are_forbidden():
    scores = random(1, 5, 5)
    scores[0, 1:4, 2] = -torch.inf
    scores.requires_grad_()
    marginals = STRUCTURE.marginals(scores, torch.ones(1, 5, dtype=torch.bool))
    (gradient,) = torch.autograd.grad((marginals**2).sum(), scores)
    assert gradient.isfinite().all() and gradient.any() and not gradient[0, 1:4, 2].any()


def test_samples():
    scores = random(2, 4, 3)
    scores[0, 1, 1] = -torch.inf
    assert_samples_follow(STRUCTURE, scores, oracles.monotone_alignments(4, 3))


def test_samples_of_long_sequences():
    scores = random(2, 60, 40)
    mask = block((60, 40), (60, 40), (22, 31))
    marginals = STRUCTURE.marginals(scores, mask)
    samples = STRUCTURE.sample(scores, mask, 1000, torch.Generator().manual_seed(0))
    deviation = (samples.mean(0) - marginals) / (marginals * (1 - marginals) / 1000).sqrt().clamp(min=1e-3)
    assert deviation.abs().max() < 6


@pytest.mark.parametrize(("shape", "mask"), [((2, 3), (2, 3)), ((2, 3, 4), (2, 4)), ((2, 3, 4), (2, 4, 3))])
@pytest.mark.usefixtures("unchecked_shapes")
def test_other_shapes_are_refused(shape, mask):
    for method in METHODS:
        with pytest.raises(ValueError, match="expected"):
            getattr(STRUCTURE, method)(torch.zeros(shape), torch.ones(mask, dtype=torch.bool))
