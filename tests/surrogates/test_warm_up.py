"""No gradient at first, then more and more: for every rule alike, and in nothing but the gradient."""

import copy

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import SingleHead
from spigot_allennlp.surrogates import StructuredArgmax, WarmUp
from tests.surrogates.inputs import MASK, pull, random
from tests.surrogates.test_checkpointing import RULES, SOFT, Run, every_run, train

SHARES = [0, 0, 0.25, 0.5, 0.75, 1, 1]


def build(rule: str, warm_up: WarmUp | None) -> StructuredArgmax:
    if rule == "perturb_and_map":
        return StructuredArgmax.by_name(rule)(build("structured_attention", None), warm_up=warm_up)
    return StructuredArgmax.by_name(rule)(SingleHead(), warm_up=warm_up)


@pytest.mark.parametrize("rule", [*RULES, *SOFT, "perturb_and_map"])
def test_every_rule_gets_its_share_and_goes_forward_as_ever(rule: str) -> None:
    warm, plain = build(rule, WarmUp(delay=2, num_passes=4)), build(rule, None)
    for seed, share in enumerate(SHARES):
        inputs = random("single_head", seed), random("single_head", 10 + seed)
        z, d_scores = pull(plain, *inputs, seed)
        torch.manual_seed(seed)
        scores = inputs[0].requires_grad_()
        found = warm(scores, MASK)
        found.backward(inputs[1])
        assert torch.equal(found, z)
        if share:
            torch.testing.assert_close(scores.grad, share * d_scores)
        else:
            assert scores.grad is None


def test_adam_leaves_the_first_stage_alone_while_it_gets_nothing() -> None:
    """Of a gradient of zeros, weight decay would make steps as long as any."""
    first, layer = torch.nn.Linear(5, 5), build("spigot", WarmUp(delay=3)).train()
    adam = torch.optim.Adam(first.parameters(), lr=0.1, weight_decay=1e-6)
    before = copy.deepcopy(first.state_dict())
    for seed in range(4):
        adam.zero_grad()
        (layer(first(random("single_head", seed).float()), MASK) * random("single_head", 9).float()).sum().backward()
        adam.step()
        moved = any(not torch.equal(weight, before[name]) for name, weight in first.state_dict().items())
        assert moved == (seed == 3)


@every_run
@pytest.mark.parametrize("uses", [1, 2])
def test_a_pass_counts_once_though_checkpointing_computes_it_again(run: Run, uses: int) -> None:
    layers = [build("spigot", WarmUp(num_passes=20)) for _ in "12"]
    found, expected = train(layers[0], run, uses=uses), train(layers[1], lambda f, scores: f(scores), uses=uses)
    torch.testing.assert_close(found, expected)
    assert int(layers[0].warm_up.passes) == 5 * uses


@every_run
def test_passes_without_a_gradient_count_with_checkpointing_too(run: Run) -> None:
    layer = build("spigot", WarmUp(delay=2))
    for passes in range(1, 5):
        scores = random("single_head").requires_grad_()
        (run(lambda s: layer(2 * s, MASK), scores) * random("single_head", 1)).sum().backward()
        assert (scores.grad is None) == (passes <= 2)
        assert int(layer.warm_up.passes) == passes


def test_only_training_counts_and_only_what_comes_back() -> None:
    layer = build("straight_through", WarmUp(num_passes=2))
    layer(random("single_head").requires_grad_(), MASK)
    pull(layer.eval(), random("single_head"), random("single_head", 1))
    assert int(layer.warm_up.passes) == 0
    pull(layer.train(), random("single_head"), random("single_head", 1))
    assert int(layer.warm_up.passes) == 1


def test_checkpoints_resume() -> None:
    layer, resumed = (build("spigot", WarmUp(delay=1, num_passes=3)) for _ in "12")
    for _ in "12":
        pull_or_nothing(layer)
    resumed.load_state_dict(layer.state_dict())
    assert torch.equal(pull_or_nothing(resumed), pull_or_nothing(layer))


def pull_or_nothing(layer: StructuredArgmax) -> torch.Tensor:
    scores = random("single_head").requires_grad_()
    layer(scores, MASK).backward(random("single_head", 1))
    return torch.zeros_like(scores) if scores.grad is None else scores.grad


def test_it_is_built_from_a_config() -> None:
    params = {"type": "straight_through", "structure": "single_head", "warm_up": {"delay": 7}}
    warm_up = StructuredArgmax.from_params(Params(params)).warm_up
    assert (warm_up.delay, warm_up.num_passes) == (7, 1)


@pytest.mark.parametrize("settings", [{"delay": -1}, {"delay": 0.5}, {"num_passes": 0}])
def test_wrong_settings_are_refused_by_name(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        WarmUp(**settings)


@pytest.mark.parametrize("warm_up", [None, WarmUp(delay=1)])
def test_an_observer_sees_the_gradient_of_the_rule_alone_and_changes_nothing(warm_up: WarmUp | None) -> None:
    _, expected = pull(build("spigot", None), random("single_head"), random("single_head", 1))
    layer, seen = build("spigot", warm_up), []

    def observe(scores: torch.Tensor, mask: torch.Tensor, z: torch.Tensor) -> None:
        scores.register_hook(lambda d_scores: seen.append(d_scores.clone()))

    scores = [random("single_head").requires_grad_() for _ in "12"]
    for one, layer.observer in zip(scores, (None, observe), strict=True):
        (layer(one, MASK) * random("single_head", 1) + one).sum().backward()
    assert torch.equal(seen[0], expected)
    assert torch.equal(scores[0].grad, scores[1].grad) or warm_up is not None
