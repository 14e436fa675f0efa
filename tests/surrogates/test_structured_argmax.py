import copy
import gc
from typing import Any

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import NonprojectiveTree, ProjectiveTree, SingleHead, Structure
from spigot_allennlp.surrogates import PerturbAndMap, Spigot, StructuredArgmax
from tests import oracles

STRUCTURES = {
    "single_head": SingleHead(),
    "nonprojective_tree": NonprojectiveTree(),
    "nonprojective_tree, single root": NonprojectiveTree(single_root=True),
    "projective_tree": ProjectiveTree(),
    "projective_tree, single root": ProjectiveTree(single_root=True),
}
every_structure = pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
# By name, what goes forward in training, noise apart.
HARD = ["spigot", "straight_through", "pipeline", "spigot_ce", "spigot_eg", "imle"]
SOFT = ["structured_attention", "sparsemap"]
every_type = pytest.mark.parametrize("name", [*HARD, *SOFT, "perturb_and_map"])
LENGTHS = (6, 1, 4)
MASK = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)
PARTS = MASK.unsqueeze(1) & MASK.unsqueeze(2) & ~torch.eye(6, dtype=torch.bool)
PARTS[:, 0] = False


def random(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 6, 6, generator=generator, dtype=torch.double)


def build(name: str, structure: Structure, **settings: Any) -> StructuredArgmax:
    if name == "perturb_and_map":
        return PerturbAndMap(Spigot(structure), **settings)
    return StructuredArgmax.by_name(name)(structure=structure, **settings)


def pull(
    layer: StructuredArgmax, scores: torch.Tensor, d_z: torch.Tensor, mask: torch.Tensor = MASK
) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer's output, and what it gives back for `d_z`, where the same noise falls each time."""
    torch.manual_seed(0)
    scores = scores.detach().requires_grad_()
    z = layer(scores, mask)
    return z.detach(), torch.autograd.grad(z, scores, d_z)[0] if z.requires_grad else torch.zeros_like(scores)


@pytest.mark.parametrize("name", [*HARD, "perturb_and_map"])
@every_structure
def test_forward_is_the_argmax(name: str, structure: Structure) -> None:
    z = build(name, structure).eval()(random(), MASK)
    assert torch.equal(z, structure.argmax(random(), MASK))


@every_structure
def test_pipeline_stops_the_gradient(structure: Structure) -> None:
    assert not build("pipeline", structure)(random().requires_grad_(), MASK).requires_grad


@every_structure
@pytest.mark.parametrize("step_size", [0.3, 1.0])
def test_straight_through_is_its_formula(structure: Structure, step_size: float) -> None:
    _, d_scores = pull(build("straight_through", structure, step_size=step_size), random(), random(1))
    torch.testing.assert_close(d_scores, step_size * random(1) * PARTS)


def clipped(d_z: torch.Tensor, max_norm: float | None) -> torch.Tensor:
    """`d_z` off the parts set to 0, sentence by sentence scaled down to a norm."""
    sentences = []
    for g in d_z * PARTS:
        shorten = max_norm is not None and g.norm() > max_norm
        sentences.append(g * (max_norm / g.norm()) if shorten else g)
    return torch.stack(sentences)


SETTINGS = pytest.mark.parametrize("step_size, max_norm", [(1.0, None), (0.3, None), (1.0, 1.0), (2.0, 0.1)])


@every_structure
@SETTINGS
def test_spigot_is_its_formula(structure: Structure, step_size: float, max_norm: float | None) -> None:
    z, d_scores = pull(Spigot(structure, step_size, max_norm), random(), random(1))
    point = z - step_size * clipped(random(1), max_norm)
    torch.testing.assert_close(d_scores, z - structure.project_local(point, MASK))
    _, exact = pull(Spigot(structure, step_size, max_norm, polytope="exact"), random(), random(1))
    torch.testing.assert_close(exact, z - structure.project(point, MASK))
    assert (d_scores[0] != exact[0]).any() == (structure is not STRUCTURES["single_head"])


@every_structure
@SETTINGS
def test_spigot_ce_and_eg_are_their_formulas(structure: Structure, step_size: float, max_norm: float | None) -> None:
    step = step_size * clipped(random(1), max_norm)
    mu = structure.marginals(random(), MASK)
    _, d_scores = pull(
        build("spigot_ce", structure, step_size=step_size, max_gradient_norm=max_norm), random(), random(1)
    )
    torch.testing.assert_close(d_scores, mu - structure.project_local(mu - step, MASK))
    _, d_scores = pull(
        build("spigot_eg", structure, step_size=step_size, max_gradient_norm=max_norm), random(), random(1)
    )
    torch.testing.assert_close(d_scores, mu - structure.marginals(random() - step, MASK))


@pytest.mark.parametrize("name", ["spigot_ce", "spigot_eg"])
def test_spigot_ce_and_eg_may_be_relaxed(name: str) -> None:
    structure = NonprojectiveTree()
    marginals, argmax = structure.marginals(random(), MASK), structure.argmax(random(), MASK)
    relaxed = build(name, structure, relaxed=True)
    assert torch.equal(relaxed(random(), MASK), marginals)
    assert torch.equal(relaxed.eval()(random(), MASK), marginals)
    hard_at_test = build(name, structure, relaxed=True, hard_at_test=True)
    assert torch.equal(hard_at_test(random(), MASK), marginals)
    assert torch.equal(hard_at_test.eval()(random(), MASK), argmax)
    # The gradient does not depend on what goes forward.
    assert torch.equal(pull(relaxed, random(), random(1))[1], pull(build(name, structure), random(), random(1))[1])


@every_structure
def test_imle_is_its_formula(structure: Structure) -> None:
    layer = build("imle", structure, step_size=0.7, noise_scale=2.0)
    z, d_scores = pull(layer, random(), random(1))
    torch.manual_seed(0)
    exponential = torch.empty(3, 6, 6, dtype=torch.double).exponential_()
    noisy = random() - 2 * exponential.log()
    torch.testing.assert_close(z, structure.argmax(noisy, MASK))
    torch.testing.assert_close(d_scores, z - structure.argmax(noisy - 0.7 * random(1) * PARTS, MASK))
    z, d_scores = pull(layer.eval(), random(), random(1))
    torch.testing.assert_close(d_scores, z - structure.argmax(random() - 0.7 * random(1) * PARTS, MASK))


@every_structure
def test_spigot_is_straight_through_while_the_step_stays_inside(structure: Structure) -> None:
    """From a vertex, a step that takes weight from the chosen head and gives it to the others stays in the simplex."""
    z = structure.argmax(random(), MASK)
    others = (PARTS & (z == 0)).double()
    # Shape: (batch, length, 1)
    number = others.sum(2, keepdim=True)
    d_z = z * (number > 0) - others / number.clamp(min=1)
    _, through = pull(build("straight_through", structure, step_size=0.2), random(), d_z)
    _, spigot = pull(Spigot(structure, step_size=0.2, max_gradient_norm=None), random(), d_z)
    torch.testing.assert_close(spigot, through)
    assert spigot.any()


@pytest.mark.parametrize("name", ["spigot", "spigot_ce", "spigot_eg", "imle", "perturb_and_map", *SOFT])
@every_structure
def test_gradients_listen_downstream_and_go_down(name: str, structure: Structure) -> None:
    if name == "imle":
        layer = build(name, structure, step_size=3.0)  # its target is a structure, which a short step would not leave
    else:
        layer = build(name, structure)
    _, from_first = pull(layer, random(), random(1))
    _, from_second = pull(layer, random(), random(2))
    assert not torch.allclose(from_first, from_second)
    assert (from_first * random(1)).sum((1, 2)).min() >= -1e-12 and (from_first * random(1)).sum() > 0
    # Any two mixtures of structures give each token the same weight of heads in all.
    torch.testing.assert_close(from_first.sum(2), torch.zeros(3, 6, dtype=torch.double), rtol=0, atol=1e-6)


@every_structure
@pytest.mark.parametrize("name", SOFT)
def test_relaxations_have_their_exact_derivative(name: str, structure: Structure) -> None:
    layer = build(name, structure)
    assert torch.autograd.gradcheck(lambda s: layer(s, MASK), random().requires_grad_(), atol=1e-4)


@pytest.mark.parametrize("name", STRUCTURES)
def test_structured_attention_is_the_marginals(name: str) -> None:
    result = build("structured_attention", STRUCTURES[name])(random(), MASK)
    every = oracles.structures(name.split(",")[0], 4, "single root" in name)
    torch.testing.assert_close(result[2:, :4, :4], oracles.marginals(every, random()[2:, :4, :4]))


@pytest.mark.parametrize("name", STRUCTURES)
def test_sparsemap_is_the_nearest_mixture(name: str) -> None:
    """`(s - mu) . (z - mu) <= 0` for every structure z."""
    mu = build("sparsemap", STRUCTURES[name])(random(), MASK)[2:, :4, :4]
    every = oracles.structures(name.split(",")[0], 4, "single root" in name)
    residual = (random() * PARTS)[2:, :4, :4] - mu
    assert oracles.best_scores(every, residual) <= (residual * mu).sum() + 1e-6
    assert ((mu > 0) & (mu < 1)).any()


@pytest.mark.parametrize("name", SOFT)
@pytest.mark.parametrize("hard_at_test", [False, True])
def test_relaxations_are_hard_at_test_if_asked(name: str, hard_at_test: bool) -> None:
    layer = build(name, NonprojectiveTree(), hard_at_test=hard_at_test)
    argmax = layer.structure.argmax(random(), MASK)
    assert not torch.equal(layer(random(), MASK), argmax)
    assert torch.equal(layer.eval()(random(), MASK), argmax) == hard_at_test


def test_perturb_and_map_samples() -> None:
    """Independent heads are sampled exactly: the frequencies are the marginals."""
    scores = random()[:1].expand(4000, 6, 6)
    mask = MASK[:1].expand(4000, 6)
    torch.manual_seed(0)
    layer = PerturbAndMap(build("pipeline", SingleHead()), noise_scale=2.0)
    frequencies = layer(scores, mask).mean(0)
    torch.testing.assert_close(frequencies, SingleHead().marginals(scores / 2, mask)[0], rtol=0, atol=0.03)


def test_perturb_and_map_gives_its_noisy_scores_to_the_layer_behind_it() -> None:
    scores = random().requires_grad_()
    torch.manual_seed(0)
    z = PerturbAndMap(build("structured_attention", ProjectiveTree()))(scores, MASK)
    torch.manual_seed(0)
    noise = -torch.empty(3, 6, 6, dtype=torch.double).exponential_().log()
    torch.testing.assert_close(z, ProjectiveTree().marginals(scores + noise, MASK))
    (d_scores,) = torch.autograd.grad(z, scores, random(1))
    marginals = ProjectiveTree().marginals(scores + noise, MASK)
    torch.testing.assert_close(d_scores, torch.autograd.grad(marginals, scores, random(1))[0])


@every_type
@every_structure
def test_cells_that_are_no_parts_have_neither_value_nor_gradient(name: str, structure: Structure) -> None:
    scores, d_z = random().where(PARTS, torch.nan), random(1).where(PARTS, torch.nan)
    if name in SOFT:
        d_z = d_z.nan_to_num()
    z, d_scores = pull(build(name, structure), scores, d_z)
    for tensor in (z, d_scores):
        assert tensor.isfinite().all() and not tensor[~PARTS].any()


@every_type
def test_a_sentence_does_not_depend_on_its_batch(name: str) -> None:
    settings = {"noise_scale": 0.0} if name in ("imle", "perturb_and_map") else {}
    layer = build(name, ProjectiveTree(), **settings)
    together = pull(layer, random(), random(1))
    for i, length in enumerate(LENGTHS):
        cut = (slice(i, i + 1), slice(length), slice(length))
        alone = pull(layer, random()[cut], random(1)[cut], MASK[cut[:2]])
        for batch, sentence in zip(together, alone, strict=True):
            torch.testing.assert_close(batch[cut], sentence)


@every_type
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes(name: str, dtype: torch.dtype) -> None:
    z, d_scores = pull(build(name, NonprojectiveTree()), random().to(dtype), random(1).to(dtype))
    assert z.dtype == d_scores.dtype == dtype
    if name != "pipeline":
        assert d_scores.any()


@every_type
def test_inputs_are_not_touched(name: str) -> None:
    scores, d_z, mask = random(), random(1), MASK.clone()
    pull(build(name, ProjectiveTree()), scores, d_z, mask)
    assert torch.equal(scores, random()) and torch.equal(d_z, random(1)) and torch.equal(mask, MASK)


@pytest.mark.parametrize("name", ["straight_through", "imle"])
def test_gradients_are_clipped_by_sentence(name: str) -> None:
    d_z = random(1)
    d_z[2] *= 1e-3  # below the bound already
    _, d_scores = pull(build("straight_through", NonprojectiveTree(), max_gradient_norm=0.5), random(), d_z)
    torch.testing.assert_close(d_scores[0].norm(), torch.tensor(0.5, dtype=torch.double))
    torch.testing.assert_close(d_scores[2], (d_z * PARTS)[2])


@pytest.mark.parametrize("polytope", ["local", "exact"])
@pytest.mark.parametrize("name", ["spigot", "spigot_ce"])
@every_structure
def test_what_is_forbidden_is_no_target(name: str, polytope: str, structure: Structure) -> None:
    """Whatever the second stage wants, a token that loses its head gets another one that it may have."""
    scores, d_z = random(), random(1) * 3
    scores[0, 1, 2] = scores[0, 4, 3] = scores[2, 1, 3] = -torch.inf
    d_z[0, 1, 2] = d_z[0, 4, 3] = d_z[2, 1, 3] = -10
    _, d_scores = pull(build(name, structure, polytope=polytope, max_gradient_norm=None), scores, d_z)
    assert d_scores.any() and d_scores[scores == -torch.inf].abs().max() < 1e-100  # marginals are never quite 0
    torch.testing.assert_close(d_scores.sum(dim=2), torch.zeros(3, 6, dtype=torch.double), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["spigot", "straight_through", "spigot_ce", "spigot_eg", "imle"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_stays_in_its_sentence(name: str, value: float) -> None:
    d_z = random(1)
    layer = build(name, NonprojectiveTree())
    _, expected = pull(layer, random(), d_z)
    d_z[0, 1, 2] = value
    _, d_scores = pull(layer, random(), d_z)
    assert d_scores[0].isnan().all()
    if name != "imle":  # whose noise runs through the batch
        torch.testing.assert_close(d_scores[1:], expected[1:])
    assert d_scores[1:].isfinite().all()


def test_two_layers_do_not_interact() -> None:
    layers = Spigot(NonprojectiveTree(single_root=True)), Spigot(ProjectiveTree(), step_size=0.1)
    alone = [pull(layer, random(), random(1))[1] for layer in layers]
    scores = random().requires_grad_()
    outputs = [layer(scores, MASK) for layer in layers]
    (together,) = torch.autograd.grad(outputs, scores, [random(1), random(1)])
    torch.testing.assert_close(together, sum(alone))


@pytest.mark.parametrize("name", ["spigot", "sparsemap"])
def test_nothing_is_kept_alive(name: str) -> None:
    """No cycle of references: what a forward pass holds is freed with its output, not by the garbage collector."""
    layer = build(name, NonprojectiveTree())
    gc.collect()
    gc.disable()
    try:
        layer(random().requires_grad_(), MASK)
        found = [
            o for o in gc.get_objects() if type(o) is torch.Tensor and o.grad_fn is not None and o.shape == (3, 6, 6)
        ]
    finally:
        gc.enable()
    assert found == []


CONFIGS = [
    {"structure": "single_head"},
    {"type": "spigot", "structure": {"type": "nonprojective_tree", "single_root": True}, "max_gradient_norm": None},
    {"type": "spigot", "structure": "projective_tree", "step_size": 2, "polytope": "exact"},
    {"type": "straight_through", "structure": "projective_tree", "step_size": 0.5, "max_gradient_norm": 1.5},
    {"type": "pipeline", "structure": "projective_tree"},
    {"type": "spigot_ce", "structure": "projective_tree", "relaxed": True, "hard_at_test": True},
    {
        "type": "spigot_eg",
        "structure": "projective_tree",
        "step_size": {"type": "linear", "start": 1, "end": 2, "num_passes": 3},
    },
    {"type": "imle", "structure": "projective_tree", "noise_scale": 0.5},
    {"type": "structured_attention", "structure": "projective_tree", "hard_at_test": True},
    {"type": "sparsemap", "structure": "nonprojective_tree"},
    {
        "type": "perturb_and_map",
        "argmax": {"type": "structured_attention", "structure": "single_head"},
        "noise_scale": 2.0,
    },
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_every_type_is_built_from_a_config_and_survives_a_checkpoint(config: dict[str, Any]) -> None:
    layer = StructuredArgmax.from_params(Params(copy.deepcopy(config)))
    assert isinstance(layer, StructuredArgmax.by_name(config.get("type", "spigot")))
    layer(random(), MASK)
    resumed = StructuredArgmax.from_params(Params(copy.deepcopy(config)))
    resumed.load_state_dict(layer.state_dict())
    for before, after in zip(pull(layer, random(), random(1)), pull(resumed, random(), random(1)), strict=True):
        assert torch.equal(before, after)


def test_every_registered_type_is_in_the_tables() -> None:
    assert {config.get("type", "spigot") for config in CONFIGS} == set(StructuredArgmax.list_available())
    assert {*HARD, *SOFT, "perturb_and_map"} == set(StructuredArgmax.list_available())


@pytest.mark.parametrize(
    "config, message",
    [
        ({"step_size": 0.0}, "step_size"),
        ({"step_size": float("inf")}, "step_size"),
        ({"max_gradient_norm": -1.0}, "max_gradient_norm"),
        ({"max_gradient_norm": 0.0}, "max_gradient_norm"),
        ({"polytope": "round"}, "polytope .* 'round'"),
        ({"polytope": "released"}, "polytope .* 'released' .* NonprojectiveTree"),
        ({"type": "imle", "noise_scale": -1.0}, "noise_scale"),
        ({"type": "sparsemap", "step_size": 1.0}, "step_size"),
    ],
)
def test_wrong_settings_are_refused_by_name(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        StructuredArgmax.from_params(Params({"structure": "nonprojective_tree", **config}))
