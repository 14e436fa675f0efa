import pytest
import torch

from spigot_allennlp.structures import Segmentation
from tests import oracles
from tests.structures.samples import assert_samples_follow

STRUCTURE = Segmentation()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def coverage(z: torch.Tensor) -> torch.Tensor:
    """How many segments each position is in, `(..., length)`, where no position is masked."""
    covered = torch.zeros(z.shape[:-2], dtype=z.dtype)
    for width in range(1, z.size(-2) + 1):
        segments = z[..., width - 1, :].sum(-1)
        for offset in range(width):
            covered[..., offset:] += segments[..., : z.size(-3) - offset]
    return covered


@pytest.mark.parametrize("length", [50, 200])
def test_long_sentences(length):
    scores = random(3, length, 8, 4)
    mask = torch.arange(length) < torch.tensor([[length], [length - 9], [1]])
    covered = mask.double()
    z, marginals = STRUCTURE.argmax(scores, mask), STRUCTURE.marginals(scores, mask)
    assert torch.equal(coverage(z), covered)
    torch.testing.assert_close(coverage(marginals), covered)
    temperature = 1e-6
    log_z = STRUCTURE.log_partition(scores / temperature, mask) * temperature
    best = (z * scores).sum((1, 2, 3))
    assert (best <= log_z + 1e-9).all() and (log_z <= best + temperature * 3 * length).all()
    torch.testing.assert_close(coverage(STRUCTURE.project(scores, mask)), covered, rtol=0, atol=1e-9)


def test_the_number_of_segmentations_of_a_long_sentence():
    """With widths 1 and 2 they are the Fibonacci numbers."""
    ways = [1, 1]
    for _ in range(299):
        ways.append(ways[-1] + ways[-2])
    log_z = STRUCTURE.log_partition(torch.zeros(1, 300, 2, 1).double(), torch.ones(1, 300, dtype=torch.bool))
    assert log_z.exp().item() == pytest.approx(ways[300], rel=1e-10)


def test_second_derivatives():
    scores = random(2, 5, 3, 2).requires_grad_()
    mask = torch.tensor([[True] * 5, [True, False, True, True, False]])
    assert torch.autograd.gradgradcheck(lambda s: STRUCTURE.log_partition(s, mask), scores)
    assert torch.autograd.gradcheck(lambda s: STRUCTURE.marginals(s, mask), scores)


def test_derivatives_are_finite_where_segments_are_forbidden():
    scores = random(1, 6, 3, 2)
    scores[0, 1:4, 1] = -torch.inf
    scores[0, 2, 0, 0] = -torch.inf
    scores.requires_grad_()
    marginals = STRUCTURE.marginals(scores, torch.ones(1, 6, dtype=torch.bool))
    (gradient,) = torch.autograd.grad((marginals**2).sum(), scores)
    assert gradient.isfinite().all() and not gradient[0, 1:4, 1].any() and gradient[0, 2, 0, 1] != 0


def test_widths_count_the_tokens_that_the_mask_leaves():
    scores = torch.zeros(1, 5, 3, 1)
    scores[0, 1, 1] = 1.0
    mask = torch.tensor([[False, True, False, True, True]])
    assert STRUCTURE.argmax(scores, mask).nonzero().tolist() == [[0, 1, 1, 0], [0, 4, 0, 0]]
    samples = STRUCTURE.sample(100 * scores, mask, 5)
    assert samples.nonzero()[:, 1:].tolist() == [[0, 1, 1, 0], [0, 4, 0, 0]] * 5


def test_samples():
    scores = random(2, 5, 3, 2)
    scores[0, 1, 2] = -torch.inf
    assert_samples_follow(STRUCTURE, scores, oracles.segmentations(5, 3, 2))


def test_samples_of_long_sentences():
    scores = random(2, 80, 6, 3)
    mask = torch.arange(80) < torch.tensor([[80], [31]])
    marginals = STRUCTURE.marginals(scores, mask)
    samples = STRUCTURE.sample(scores, mask, 1000, torch.Generator().manual_seed(0))
    assert torch.equal(coverage(samples), mask.double().expand(1000, -1, -1))
    deviation = (samples.mean(0) - marginals) / (marginals * (1 - marginals) / 1000).sqrt().clamp(min=1e-3)
    assert deviation.abs().max() < 6


@pytest.mark.parametrize("shape", [(2, 3, 3), (2, 3, 0, 2), (2, 3, 3, 0)])
@pytest.mark.usefixtures("unchecked_shapes")
def test_scores_of_another_shape_are_refused(shape):
    for method in ("argmax", "log_partition", "marginals", "sample", "project", "project_local"):
        with pytest.raises(ValueError, match="expected"):
            getattr(STRUCTURE, method)(torch.zeros(shape), torch.ones(shape[:2], dtype=torch.bool))


def test_no_position_at_all():
    scores, mask = torch.zeros(2, 0, 2, 3), torch.zeros(2, 0, dtype=torch.bool)
    assert STRUCTURE.argmax(scores, mask).shape == scores.shape
    assert STRUCTURE.log_partition(scores, mask).tolist() == [0, 0]
    assert STRUCTURE.marginals(scores, mask).shape == scores.shape
    assert STRUCTURE.sample(scores, mask, 3).shape == (3, *scores.shape)
