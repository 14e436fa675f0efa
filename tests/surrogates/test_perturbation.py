"""What the noise of perturbed surrogates is, and where it goes."""

import pytest
import torch

from spigot_allennlp.structures import ProjectiveTree, SingleHead
from spigot_allennlp.surrogates import Imle, PerturbAndMap, Pipeline, Spigot, StructuredAttention
from spigot_allennlp.surrogates.perturbation import gumbel_noise
from tests.structures.table import Row, every_row
from tests.surrogates.table import masks, pull


def noise(like: torch.Tensor) -> torch.Tensor:
    """What falls after `torch.manual_seed(0)`, less its mean or not: no structure here minds."""
    torch.manual_seed(0)
    return -torch.empty_like(like).exponential_().log() - 0.5772156649015329


@every_row
def test_imle_sees_the_same_noise_twice(row: Row) -> None:
    structure, scores, d_z, mask = row.build(), row.random(0, 3, 6), row.random(1, 3, 6), masks(row)
    layer = Imle(structure, step_size=0.7, noise_scale=2.0)
    z, d_scores = pull(layer, scores, d_z, mask)
    noisy, step = scores + 2 * noise(scores), 0.7 * d_z * structure.parts(scores, mask)
    assert torch.equal(z, structure.argmax(noisy, mask))
    assert torch.equal(d_scores, z - structure.argmax(noisy - step, mask))
    z, d_scores = pull(layer.eval(), scores, d_z, mask)
    assert torch.equal(z, structure.argmax(scores, mask))
    assert torch.equal(d_scores, z - structure.argmax(scores - step, mask))


@every_row
def test_perturb_and_map_gives_its_noisy_scores_to_the_layer_behind_it(row: Row) -> None:
    structure, scores, d_z, mask = row.build(), row.random(0, 3, 6), row.random(1, 3, 6), masks(row)
    layer = PerturbAndMap(Spigot(structure), noise_scale=0.5)
    found = pull(layer, scores, d_z, mask)
    for one, other in zip(found, pull(Spigot(structure), scores + 0.5 * noise(scores), d_z, mask), strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(
        pull(layer.eval(), scores, d_z, mask), pull(Spigot(structure), scores, d_z, mask), strict=True
    ):
        assert torch.equal(one, other)


def test_perturb_and_map_passes_on_whether_a_mixture_goes_forward() -> None:
    layer = PerturbAndMap(StructuredAttention(ProjectiveTree(), hard_at_test=True))
    assert layer.passes_mixture and not layer.eval().passes_mixture
    assert not PerturbAndMap(Spigot(ProjectiveTree())).passes_mixture


def test_perturb_and_map_samples() -> None:
    """Independent heads are sampled exactly: the frequencies are the marginals."""
    scores = torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(0)).expand(4000, 6, 6)
    mask = torch.ones(4000, 6, dtype=torch.bool)
    torch.manual_seed(0)
    frequencies = PerturbAndMap(Pipeline(SingleHead()), noise_scale=2.0)(scores, mask).mean(0)
    torch.testing.assert_close(frequencies, SingleHead().marginals(scores / 2, mask)[0], rtol=0, atol=0.03)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_noise_has_mean_0_and_the_variance_of_a_gumbel(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    drawn = gumbel_noise(torch.zeros(100_000, dtype=dtype))
    assert drawn.dtype == dtype and drawn.isfinite().all()
    assert drawn.double().mean().item() == pytest.approx(0, abs=0.02)
    assert drawn.double().var().item() == pytest.approx(torch.pi**2 / 6, abs=0.05)
