"""Rules that compare the best structures under two scores."""

import copy

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import KSubset, SingleHead
from spigot_allennlp.surrogates import AdaptiveImle, Blackbox, Imle, StructuredArgmax
from spigot_allennlp.surrogates.noise import GumbelNoise
from tests.surrogates.inputs import MASK, STRUCTURES, forbidding, norms, parts, pull, random

every_structure = pytest.mark.parametrize("name", STRUCTURES)


@every_structure
@pytest.mark.parametrize("step_size, max_norm", [(0.5, None), (4.0, None), (4.0, 1.0)])
def test_blackbox_is_its_formula(name: str, step_size: float, max_norm: float | None) -> None:
    structure, d_z = STRUCTURES[name], random(name, 1)
    z, d_scores = pull(Blackbox(structure, step_size, max_norm), random(name), d_z)
    assert torch.equal(z, structure.argmax(random(name), MASK))
    gradient = d_z * parts(name)
    if max_norm is not None:
        gradient = gradient * (max_norm / norms(gradient).clamp(min=max_norm))
    expected = (z - structure.argmax(random(name) - step_size * gradient, MASK)) / step_size
    torch.testing.assert_close(d_scores, expected)
    assert d_scores.any() or max_norm is not None or step_size < 1


@every_structure
def test_blackbox_is_the_gradient_of_an_interpolation(name: str) -> None:
    """Of `(max_z s . z - max_z (s - step_size * g) . z) / step_size`, which lies below the loss `g . z(s)`."""
    structure, step_size, gradient = STRUCTURES[name], 3.0, random(name, 1) * parts(name)

    def best(scores: torch.Tensor) -> torch.Tensor:
        return (structure.argmax(scores, MASK) * scores * parts(name)).sum()

    def interpolation(scores: torch.Tensor) -> torch.Tensor:
        return (best(scores) - best(scores - step_size * gradient)) / step_size

    z, d_scores = pull(Blackbox(structure, step_size), random(name), gradient)
    assert interpolation(random(name)) < (gradient * z).sum()
    there, back = (interpolation(random(name) + sign * 1e-6 * random(name, 2)) for sign in (1, -1))
    torch.testing.assert_close((d_scores * random(name, 2)).sum(), (there - back) / 2e-6, rtol=1e-5, atol=1e-5)


@every_structure
def test_blackbox_is_imle_without_noise_over_the_step(name: str) -> None:
    _, blackbox = pull(Blackbox(STRUCTURES[name], 3.0), random(name), random(name, 1))
    _, imle = pull(Imle(STRUCTURES[name], 3.0, noise_scale=0.0), random(name), random(name, 1))
    torch.testing.assert_close(blackbox, imle / 3)


def test_blackbox_lowers_the_score_of_what_costs() -> None:
    """Two positions, the first chosen, which costs: its score is to fall, the other's to rise."""
    scores, d_z = torch.tensor([[1.0, 0.0]], requires_grad=True), torch.tensor([[1.0, 0.0]])
    z = Blackbox(KSubset(1), step_size=2.0)(scores, torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(torch.autograd.grad(z, scores, d_z)[0], torch.tensor([[0.5, -0.5]]))


@every_structure
def test_adaptive_imle_is_its_formula(name: str) -> None:
    structure, gradient = STRUCTURES[name], random(name, 1) * parts(name)
    layer = AdaptiveImle(structure, beta=2.0, noise_scale=0.5)
    z, d_scores = pull(layer, random(name), random(name, 1))
    torch.manual_seed(0)
    noisy = random(name) + 0.5 * GumbelNoise().like(random(name))
    assert torch.equal(z, structure.argmax(noisy, MASK))
    has_gradient = norms(gradient) > 0
    reach = 2 * norms(noisy * parts(name)) / norms(gradient).where(has_gradient, 1.0)
    expected = (z - structure.argmax(noisy - reach * gradient, MASK)) / reach.where(has_gradient, 1.0)
    torch.testing.assert_close(d_scores, expected.where(has_gradient, 0.0))
    assert d_scores.any()


def test_the_step_is_longer_where_gradients_say_little_and_shorter_where_they_say_much() -> None:
    beta = {}
    for informative_parts in (0.5, 100.0):
        layer = AdaptiveImle(SingleHead(), beta=1.0, beta_step=0.1, informative_parts=informative_parts, decay=0.5)
        for seed in range(8):
            pull(layer, random("single_head"), random("single_head", 1), seed)
        beta[informative_parts] = float(layer.beta)
    assert beta[0.5] < 0.5 and beta[100.0] == pytest.approx(1.8)


def test_the_running_mean_counts_the_parts_that_differ() -> None:
    layer = AdaptiveImle(SingleHead(), informative_parts=2.0, decay=0.75, beta_step=0.25)
    _, d_scores = pull(layer, random("single_head"), random("single_head", 1))
    mean = 0.75 * 2 + 0.25 * int((d_scores != 0).sum()) / 4
    assert float(layer.differing_parts) == pytest.approx(mean)
    assert float(layer.beta) == pytest.approx(1.25 if mean < 2 else 0.75)


def test_a_step_that_shrank_to_nothing_grows_again() -> None:
    layer = AdaptiveImle(SingleHead(), beta=0.1, beta_step=1.0, informative_parts=0.1, decay=0.0)
    with torch.no_grad():
        layer.differing_parts.fill_(100.0)
        layer.beta.zero_()
    _, d_scores = pull(layer, random("single_head"), random("single_head", 1))
    assert not d_scores.any() and float(layer.beta) == 1.0
    assert pull(layer, random("single_head"), random("single_head", 1))[1].any()


def test_scores_that_are_all_the_same_move() -> None:
    assert pull(AdaptiveImle(SingleHead(), beta=5.0), torch.zeros(4, 5, 5), random("single_head", 1).float())[1].any()


def test_only_training_adapts_and_checkpoints_resume() -> None:
    layer = AdaptiveImle(SingleHead(), beta_step=0.1)
    pull(layer, random("single_head"), random("single_head", 1))
    state = copy.deepcopy(layer.state_dict())
    assert set(state) == {"beta", "differing_parts"} and float(state["beta"]) != 1.0
    pull(layer.eval(), random("single_head"), random("single_head", 1))
    assert layer.state_dict() == state
    resumed = AdaptiveImle(SingleHead(), beta_step=0.1)
    resumed.load_state_dict(state)
    results = [pull(each.train(), random("single_head"), random("single_head", 1))[1] for each in (layer, resumed)]
    assert torch.equal(*results)


@pytest.mark.parametrize("rule", ["blackbox", "adaptive_imle"])
@every_structure
def test_what_is_forbidden_has_no_gradient(name: str, rule: str) -> None:
    """Nor does the length of a step depend on what -inf forbids, or on cells that are no parts."""
    scores, d_z = forbidding(name), 5 * random(name, 1)
    settings = {"beta": 5.0} if rule == "adaptive_imle" else {}

    def build() -> StructuredArgmax:
        return StructuredArgmax.by_name(rule)(STRUCTURES[name], **settings)

    forbidden = scores == -torch.inf
    _, d_scores = pull(build(), scores, d_z)
    assert d_scores.any() and not d_scores[forbidden | ~parts(name)].any()
    noise = d_z.masked_fill(forbidden | ~parts(name), torch.nan)
    _, again = pull(build(), scores.where(parts(name), torch.nan), noise)
    assert torch.equal(d_scores, again)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"beta": 0.0}, "beta must be"),
        ({"beta_step": -1.0}, "beta_step must be"),
        ({"informative_parts": 0.0}, "informative_parts must be"),
        ({"decay": 1.0}, "decay must be"),
        ({"noise_scale": -1.0}, "noise_scale must be"),
    ],
)
def test_wrong_settings_are_refused_by_name(config: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        StructuredArgmax.from_params(Params({"type": "adaptive_imle", "structure": "single_head", **config}))
