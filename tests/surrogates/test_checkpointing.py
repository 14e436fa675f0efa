"""Activation checkpointing computes forward passes again: nothing is to count, or come out, differently."""

from collections.abc import Callable

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from spigot_allennlp.structures import SingleHead
from spigot_allennlp.surrogates import AdaptiveImle, Spigot, StepSize, StructuredArgmax
from spigot_allennlp.surrogates.step_size import LinearStepSize
from tests.surrogates.inputs import MASK, random

Run = Callable[[Callable[[torch.Tensor], torch.Tensor], torch.Tensor], torch.Tensor]
RUNS: dict[str, Run] = {
    "plain": lambda function, scores: function(scores),
    "not reentrant": lambda function, scores: checkpoint(function, scores, use_reentrant=False),
    "reentrant": lambda function, scores: checkpoint(function, scores, use_reentrant=True),
}
every_run = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
RULES = ["spigot", "straight_through", "spigot_ce", "spigot_eg", "blackbox", "identity", "imle", "adaptive_imle"]
SOFT = ["structured_attention", "sparsemap"]


def schedule() -> StepSize:
    return LinearStepSize(4.0, 1.0, num_passes=3)


def train(layer: StructuredArgmax, run: Run, factor: float = 1.0, num_steps: int = 5, uses: int = 1) -> torch.Tensor:
    """The gradients of a few training steps, `(num_steps, ...)`, of a loss that a scaler multiplies by `factor`."""
    torch.manual_seed(0)
    gradients = []
    for seed in range(num_steps):
        scores = random("single_head", seed).requires_grad_()
        # What is inside does not begin with the layer: a pass that is repeated then has a gradient of its own.
        z = sum(run(lambda s: layer(2 * s, MASK), scores * (use + 1)) for use in range(uses))
        loss = (3 * z * random("single_head", 10 + seed)).pow(2).sum()
        layer.see_gradient_of(loss)
        (factor * loss).backward()
        gradients.append(scores.grad)
    return torch.stack(gradients)


@every_run
def test_a_schedule_advances_once_a_step(run: Run) -> None:
    layer = Spigot(SingleHead(), schedule(), max_gradient_norm=None)
    for passes in range(1, 4):
        train(layer, run, num_steps=1)
        assert int(layer.step_size.passes) == passes


@every_run
def test_a_layer_that_is_used_twice_advances_twice(run: Run) -> None:
    layer = Spigot(SingleHead(), schedule())
    train(layer, run, num_steps=2, uses=2)
    assert int(layer.step_size.passes) == 4


@pytest.mark.parametrize("rule", [*RULES, *SOFT])
@pytest.mark.parametrize("run", ["not reentrant", "reentrant"])
@pytest.mark.parametrize("factor", [1.0, 1024.0])
def test_gradients_are_the_same(rule: str, run: str, factor: float) -> None:
    """With noise, with state, and with a scaled loss."""

    def build() -> StructuredArgmax:
        settings = {} if rule in ("adaptive_imle", *SOFT) else {"step_size": schedule(), "max_gradient_norm": 0.5}
        return StructuredArgmax.by_name(rule)(SingleHead(), **settings)

    layers = build(), build()
    plain, again = train(layers[0], RUNS["plain"], factor), train(layers[1], RUNS[run], factor)
    torch.testing.assert_close(again, plain)
    assert layers[0].state_dict() == layers[1].state_dict()


@every_run
@pytest.mark.parametrize("factor", [1.0, 1024.0])
def test_a_factor_is_neither_lost_nor_remembered(run: Run, factor: float) -> None:
    layer = Spigot(SingleHead(), max_gradient_norm=0.5)
    expected = train(Spigot(SingleHead(), max_gradient_norm=0.5), RUNS["plain"], uses=2)
    torch.testing.assert_close(train(layer, run, factor, uses=2), factor * expected)
    # A loss that is not announced is taken as it is.
    scores = random("single_head").requires_grad_()
    (run(lambda s: layer(s, MASK), scores) * random("single_head", 1)).sum().backward()
    other = random("single_head").requires_grad_()
    (Spigot(SingleHead(), max_gradient_norm=0.5)(other, MASK) * random("single_head", 1)).sum().backward()
    torch.testing.assert_close(scores.grad, other.grad)


def test_gradients_that_are_asked_for_twice_take_one_step() -> None:
    layer = Spigot(SingleHead(), schedule(), max_gradient_norm=None)
    scores = random("single_head").requires_grad_()
    z = layer(scores, MASK)
    first, second = (torch.autograd.grad(z, scores, 0.01 * random("single_head", 1), retain_graph=True) for _ in "12")
    assert torch.equal(first[0], second[0]) and int(layer.step_size.passes) == 1


def test_a_pass_without_a_gradient_does_not_count() -> None:
    layer = Spigot(SingleHead(), schedule())
    layer(random("single_head"), MASK)
    layer(random("single_head").requires_grad_(), MASK)
    with torch.no_grad():
        layer(random("single_head").requires_grad_(), MASK)
    assert int(layer.step_size.passes) == 0


@every_run
def test_adaptive_imle_adapts_once_a_step(run: Run) -> None:
    layer = AdaptiveImle(SingleHead(), beta_step=0.25, informative_parts=1000.0)
    train(layer, run, num_steps=3)
    assert float(layer.beta) == 1.75
