import copy

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import KSubset, SingleHead
from spigot_allennlp.surrogates import Imle, Noise, PerturbAndMap, StructuredArgmax
from tests.surrogates.inputs import MASK, STRUCTURES, pull, random


def build(config: str | dict) -> Noise:
    return Noise.from_params(Params(dict(config)) if isinstance(config, dict) else config)


def draw(config: str | dict, *shape: int) -> torch.Tensor:
    torch.manual_seed(0)
    return build(config).like(torch.empty(shape, dtype=torch.double))


def test_k_draws_of_sum_of_gamma_noise_are_gumbel_noise() -> None:
    total = draw({"type": "sum_of_gamma", "k": 4, "num_terms": 200}, 20000, 4).sum(1)
    gumbel = draw("gumbel", 20000)
    quantiles = torch.linspace(0.02, 0.98, 9, dtype=torch.double)
    torch.testing.assert_close(total.quantile(quantiles), gumbel.quantile(quantiles), rtol=0, atol=0.12)
    assert abs(total.mean()) < 0.04
    assert abs(total.var() - torch.pi**2 / 6) < 0.08


@pytest.mark.parametrize("k, num_terms", [(1, 1), (3, 10), (20, 10)])
def test_moments_of_sum_of_gamma_noise(k: int, num_terms: int) -> None:
    noise = draw({"type": "sum_of_gamma", "k": k, "num_terms": num_terms}, 40000)
    variance = sum(1 / i**2 for i in range(1, num_terms + 1)) / k
    assert abs(noise.mean()) < 5 * (variance / 40000) ** 0.5
    assert abs(noise.var() / variance - 1) < 0.15


def test_structures_get_gumbel_noise_from_that_of_their_parts() -> None:
    """Of two subsets of one part each, and so of two structures, the best is a sample from the softmax."""
    scores = torch.tensor([[0.3, -0.5]]).double().expand(20000, 2)
    mask = torch.ones(20000, 2, dtype=torch.bool)
    noise = build({"type": "sum_of_gamma", "k": 1, "num_terms": 200})
    torch.manual_seed(0)
    frequencies = PerturbAndMap(StructuredArgmax.by_name("pipeline")(KSubset(1)), noise=noise)(scores, mask).mean(0)
    torch.testing.assert_close(frequencies, scores[0].softmax(0), rtol=0, atol=0.015)


@pytest.mark.parametrize("name", STRUCTURES)
def test_imle_and_perturb_and_map_take_it(name: str) -> None:
    config = {"type": "sum_of_gamma", "k": 3}
    noise = draw(config, *random(name).shape)
    structure = STRUCTURES[name]
    z, d_scores = pull(Imle(structure, noise_scale=2.0, noise=build(config)), random(name), 0.8 * random(name, 1))
    noisy = random(name) + 2 * noise
    assert torch.equal(z, structure.argmax(noisy, MASK))
    torch.testing.assert_close(d_scores, z - structure.argmax(noisy - 0.8 * random(name, 1), MASK))
    layer = PerturbAndMap(StructuredArgmax.by_name("spigot")(structure), 2.0, build(config))
    assert torch.equal(pull(layer, random(name), random(name, 1))[0], z)
    assert torch.equal(layer.eval()(random(name), MASK), structure.argmax(random(name), MASK))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("config", ["gumbel", {"type": "sum_of_gamma", "k": 50}], ids=str)
def test_noise_is_finite_in_every_dtype(config: str | dict, dtype: torch.dtype) -> None:
    noise = build(config).like(torch.empty(100_000).to(dtype))
    assert noise.dtype == dtype and noise.isfinite().all()


@pytest.mark.parametrize(
    "noise", [None, "gumbel", {"type": "gumbel"}, {"type": "sum_of_gamma", "k": 2, "num_terms": 3}], ids=str
)
def test_configs_name_it(noise: str | dict | None) -> None:
    for config in (
        {"type": "imle", "structure": "single_head", "noise": noise},
        {"type": "adaptive_imle", "structure": "single_head", "noise": noise},
        {"type": "perturb_and_map", "argmax": {"structure": "single_head"}, "noise": noise},
    ):
        layer = StructuredArgmax.from_params(Params(copy.deepcopy(config)))
        assert type(layer.noise) is Noise.by_name(noise["type"] if isinstance(noise, dict) else "gumbel")


@pytest.mark.parametrize(
    "noise, message", [("cauchy", "cauchy"), ("sum_of_gamma", "k"), ({"type": "sum_of_gamma", "k": 0}, "k must be")]
)
def test_wrong_settings_are_refused_by_name(noise: str | dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        StructuredArgmax.from_params(Params({"type": "imle", "structure": "single_head", "noise": noise}))


@pytest.mark.parametrize("name", ["imle", "adaptive_imle"])
@pytest.mark.usefixtures("unchecked_shapes")
def test_whole_numbers_are_no_scores(name: str) -> None:
    layer = StructuredArgmax.by_name(name)(SingleHead())
    with pytest.raises(ValueError, match=r"expected floating scores, found torch\.int64"):
        layer(torch.zeros(4, 5, 5, dtype=torch.long), MASK)
