"""Rules that look at the gradient of the loss at other points than the one that went forward."""

from collections.abc import Callable

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import SingleHead
from spigot_allennlp.surrogates import PerturbAndMap, Spigot, SpigotCe, StructuredArgmax
from tests.surrogates.inputs import MASK, STRUCTURES, forbidding, norms, parts, random

every_structure = pytest.mark.parametrize("name", STRUCTURES)


def loss_of(name: str, factor: float = 3.0) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda z: (factor * (z - random(name, 1).to(z)).pow(2) + z.pow(3)).sum()


def gradient_of(name: str, point: torch.Tensor, max_norm: float | None = None) -> torch.Tensor:
    """The gradient of that loss, by hand, clipped by sentence."""
    gradient = (6 * (point - random(name, 1)) + 3 * point.pow(2)) * parts(name)
    return gradient if max_norm is None else gradient * (max_norm / norms(gradient).clamp(min=max_norm))


def pull(layer: StructuredArgmax, name: str, scores: torch.Tensor | None = None) -> torch.Tensor:
    scores = (random(name) if scores is None else scores).requires_grad_()
    loss_of(name)(layer(scores, MASK, loss_of(name))).backward()
    return scores.grad


SETTINGS = pytest.mark.parametrize("num_steps, max_norm", [(1, None), (2, 1.0), (4, 0.5)])


@every_structure
@SETTINGS
@pytest.mark.parametrize("polytope", ["local", "exact"])
def test_spigot_descends_step_by_step(name: str, num_steps: int, max_norm: float | None, polytope: str) -> None:
    structure = STRUCTURES[name]
    project = structure.polytopes()[polytope]
    z = point = structure.argmax(random(name), MASK)
    for _ in range(num_steps):
        point = project(point - 0.4 * gradient_of(name, point, max_norm), MASK)
    result = pull(Spigot(structure, 0.4, max_norm, polytope, num_steps), name)
    torch.testing.assert_close(result, z - point)


@every_structure
@SETTINGS
@pytest.mark.parametrize("start", ["structure", "marginals", "relaxed"])
def test_spigot_ce_and_eg_descend_step_by_step(name: str, num_steps: int, max_norm: float | None, start: str) -> None:
    """From the marginals, with the gradient at the structure that went forward, or with that at the marginals."""
    structure = STRUCTURES[name]
    settings = {"relaxed": start == "relaxed", "gradient_at_marginals": start == "marginals", "num_steps": num_steps}
    settings.update(step_size=0.4, max_gradient_norm=max_norm)
    mu = structure.marginals(random(name), MASK)
    first = gradient_of(name, structure.argmax(random(name), MASK) if start == "structure" else mu, max_norm)
    point = structure.project_local(mu - 0.4 * first, MASK)
    scores = random(name) - 0.4 * first
    for _ in range(1, num_steps):
        point = structure.project_local(point - 0.4 * gradient_of(name, point, max_norm), MASK)
        scores = scores - 0.4 * gradient_of(name, structure.marginals(scores, MASK), max_norm)
    ce, eg = (pull(StructuredArgmax.by_name(rule)(structure, **settings), name) for rule in ("spigot_ce", "spigot_eg"))
    torch.testing.assert_close(ce, mu - point)
    torch.testing.assert_close(eg, mu - structure.marginals(scores, MASK))


@pytest.mark.parametrize("name", ["single_head", "nonprojective_tree", "linear_chain"])
@pytest.mark.parametrize("start", ["argmax", "marginals"])
def test_steps_along_one_gradient_end_where_a_long_one_does(name: str, start: str) -> None:
    """On products of simplexes, which is why every step asks for a gradient of its own."""
    structure, gradient = STRUCTURES[name], random(name, 1) * parts(name)
    point = start = getattr(structure, start)(random(name), MASK)
    for _ in range(8):
        point = structure.project_local(point - gradient / 8, MASK)
    torch.testing.assert_close(point, structure.project_local(start - gradient, MASK), rtol=0, atol=1e-9)


@every_structure
@pytest.mark.parametrize("rule", ["spigot", "spigot_ce"])
def test_more_steps_come_lower(name: str, rule: str) -> None:
    """The target approaches the point of the polytope where the loss is least."""
    structure = STRUCTURES[name]
    start = structure.argmax(random(name), MASK) if rule == "spigot" else structure.marginals(random(name), MASK)
    losses = []
    for num_steps in (1, 3, 30):
        target = start - pull(StructuredArgmax.by_name(rule)(structure, 0.1, None, num_steps=num_steps), name)
        losses.append(float(loss_of(name)(target)))
    assert losses[0] > losses[1] > losses[2]
    assert losses[1] - losses[2] < losses[0] - losses[1]


@every_structure
def test_what_is_forbidden_is_no_target_of_any_step(name: str) -> None:
    for rule in ("spigot", "spigot_ce", "spigot_eg"):
        layer = StructuredArgmax.by_name(rule)(STRUCTURES[name], num_steps=3)
        d_scores = pull(layer, name, forbidding(name))
        assert d_scores.isfinite().all() and d_scores.any()
        assert d_scores[forbidding(name) == -torch.inf].abs().max() < 1e-100


@pytest.mark.parametrize("factor", [65536.0, 1 / 3])
def test_a_factor_of_the_loss_passes_through(factor: float) -> None:
    def pull_scaled(factor: float) -> torch.Tensor:
        scores = random("single_head").requires_grad_()
        layer = SpigotCe(SingleHead(), num_steps=2, gradient_at_marginals=True)
        loss = loss_of("single_head")(layer(scores, MASK, loss_of("single_head")))
        layer.see_gradient_of(loss)
        (factor * loss).backward()
        return scores.grad

    torch.testing.assert_close(pull_scaled(factor), factor * pull_scaled(1.0))


def test_parameters_get_no_gradient_from_further_steps() -> None:
    def gradient(num_steps: int) -> torch.Tensor:
        weight = torch.ones((), dtype=torch.double, requires_grad=True)

        def loss(z: torch.Tensor) -> torch.Tensor:
            return (weight * z - random("single_head", 1)).pow(2).sum()

        loss(Spigot(SingleHead(), num_steps=num_steps)(random("single_head").requires_grad_(), MASK, loss)).backward()
        return weight.grad

    assert torch.equal(gradient(1), gradient(3))


def test_a_gradient_that_is_not_finite_stays_in_its_sentence() -> None:
    def gradient(bad: bool) -> torch.Tensor:
        scores = random("single_head").requires_grad_()
        weights = torch.ones(4, 1, 1, dtype=torch.double)
        weights[2] = torch.inf if bad else 1.0

        def loss(z: torch.Tensor) -> torch.Tensor:
            return (weights * z).sum() + z.pow(2).sum()

        loss(Spigot(SingleHead(), num_steps=2)(scores, MASK, loss)).backward()
        return scores.grad

    assert gradient(True)[2].isnan().all()
    others = torch.tensor([0, 1, 3])
    torch.testing.assert_close(gradient(True)[others], gradient(False)[others])


def test_the_second_stage_runs_in_the_precision_it_ran_in() -> None:
    linear, seen = torch.nn.Linear(5, 5), []
    layer = Spigot(SingleHead(), num_steps=2)
    scores = random("single_head").float().requires_grad_()

    def loss(z: torch.Tensor) -> torch.Tensor:
        seen.append(linear(z).dtype)
        return linear(z).float().pow(2).sum()

    with torch.autocast("cpu", torch.bfloat16):
        value = loss(layer(scores, MASK, loss))
    value.backward()
    assert seen == [torch.bfloat16, torch.bfloat16] and scores.grad.any()


@pytest.mark.parametrize(
    "rule, settings",
    [
        ("spigot", {"num_steps": 2}),
        ("spigot_ce", {"num_steps": 2}),
        ("spigot_eg", {"num_steps": 2, "relaxed": True}),
        ("spigot_ce", {"gradient_at_marginals": True}),
        ("spigot_eg", {"gradient_at_marginals": True}),
    ],
)
def test_where_the_loss_is_needed_it_must_be_given(rule: str, settings: dict) -> None:
    layer = StructuredArgmax.by_name(rule)(SingleHead(), **settings)
    assert layer.needs_loss and PerturbAndMap(layer).needs_loss
    with pytest.raises(ValueError, match=f"{rule} .* needs loss_at, found none"):
        layer(random("single_head").requires_grad_(), MASK)
    PerturbAndMap(layer)(random("single_head").requires_grad_(), MASK, loss_of("single_head")).sum().backward()
    # Where no gradient will come back, there is nothing to ask for.
    assert layer(random("single_head"), MASK).any()
    with torch.no_grad():
        assert layer(random("single_head").requires_grad_(), MASK).any()


def test_where_marginals_go_forward_the_gradient_is_at_hand() -> None:
    assert not SpigotCe(SingleHead(), relaxed=True, gradient_at_marginals=True).needs_loss
    layer = SpigotCe(SingleHead(), relaxed=True, hard_at_test=True, gradient_at_marginals=True)
    assert not layer.needs_loss and layer.eval().needs_loss


@pytest.mark.parametrize("value", [0, -1])
def test_wrong_settings_are_refused_by_name(value: int) -> None:
    with pytest.raises(ConfigurationError, match="num_steps must be a whole number"):
        StructuredArgmax.from_params(Params({"type": "spigot", "structure": "single_head", "num_steps": value}))
