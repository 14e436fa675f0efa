import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import KSubset, SemanticGraph, SingleHead
from spigot_allennlp.surrogates import Identity, StraightThrough, StructuredArgmax
from tests.surrogates.inputs import MASK, STRUCTURES, forbidding, norms, parts, pull, random

every_structure = pytest.mark.parametrize("name", STRUCTURES)


def center(values: torch.Tensor, is_used: torch.Tensor) -> torch.Tensor:
    """Sentence by sentence, less the mean of the cells that count."""
    sentences = []
    for v, u in zip(values, is_used, strict=True):
        sentences.append(torch.where(u, v - (v[u].mean() if u.any() else 0), 0.0))
    return torch.stack(sentences)


@every_structure
@pytest.mark.parametrize("projection", ["none", "mean", "norm", "std"])
def test_the_gradient_is_its_formula(name: str, projection: str) -> None:
    """The Jacobian of a projection onto a hyperplane, onto the sphere, or onto both, of the gradient."""
    scores, gradient = random(name), 0.7 * random(name, 1) * parts(name)
    values = scores * parts(name)
    if projection in ("mean", "std"):
        values, gradient = center(values, parts(name)), center(gradient, parts(name))
    if projection in ("norm", "std"):
        length = norms(values).where(norms(values) > 0, 1.0)
        unit = values / length
        along = (unit * gradient).flatten(1).sum(1).view(length.shape)
        gradient = (gradient - along * unit) / length
    _, d_scores = pull(Identity(STRUCTURES[name], 0.7, projection=projection), scores, random(name, 1))
    torch.testing.assert_close(d_scores, gradient)


@every_structure
@pytest.mark.parametrize("projection", ["none", "mean", "norm", "std"])
def test_the_best_structure_goes_forward(name: str, projection: str) -> None:
    if name == "semantic_graph" and projection in ("mean", "std"):
        return  # its structures differ in their number of parts
    z, _ = pull(Identity(STRUCTURES[name], projection=projection), random(name), random(name, 1))
    assert torch.equal(z, STRUCTURES[name].argmax(random(name), MASK))


@every_structure
def test_without_a_projection_it_is_straight_through(name: str) -> None:
    identity = pull(Identity(STRUCTURES[name], 0.3, 1.0, "none"), random(name), random(name, 1))
    through = pull(StraightThrough(STRUCTURES[name], 0.3, 1.0), random(name), random(name, 1))
    for one, other in zip(identity, through, strict=True):
        torch.testing.assert_close(one, other)


@every_structure
def test_scores_neither_grow_nor_drift(name: str) -> None:
    """The gradient has no component along the scores, nor along a constant."""
    _, d_scores = pull(Identity(STRUCTURES[name], projection="std"), random(name), random(name, 1))
    assert d_scores.any()
    zeros = torch.zeros(4, dtype=torch.double)
    torch.testing.assert_close((d_scores * random(name) * parts(name)).flatten(1).sum(1), zeros)
    torch.testing.assert_close(d_scores.flatten(1).sum(1), zeros)


def test_a_margin_tosses_coins_in_training_alone() -> None:
    scores, mask = torch.tensor([[3.0, 4.0]]).expand(4000, 2), torch.ones(4000, 2, dtype=torch.bool)
    torch.manual_seed(0)
    layer = Identity(KSubset(1), margin=0.6)  # of 0.6 and 0.8, the first is best with one of four tosses
    torch.testing.assert_close(layer(scores, mask).mean(0), torch.tensor([0.25, 0.75]), rtol=0, atol=0.03)
    assert not layer.eval()(scores, mask)[:, 0].any()


@every_structure
@pytest.mark.parametrize("projection", ["norm", "std"])
def test_what_is_forbidden_or_no_part_plays_no_part(name: str, projection: str) -> None:
    if name == "semantic_graph":
        projection = "norm"
    scores, d_z = forbidding(name), random(name, 1)
    out = (scores == -torch.inf) | ~parts(name)
    layer = Identity(STRUCTURES[name], projection=projection)
    z, d_scores = pull(layer, scores.where(parts(name), torch.nan), d_z.masked_fill(out, torch.nan))
    assert torch.equal(z, STRUCTURES[name].argmax(scores, MASK))
    assert d_scores.isfinite().all() and d_scores.any() and not d_scores[out].any()


def test_scores_that_are_all_the_same_give_finite_gradients() -> None:
    for projection in ("norm", "std"):
        _, d_scores = pull(Identity(SingleHead(), projection=projection), torch.zeros(4, 5, 5), torch.ones(4, 5, 5))
        assert d_scores.isfinite().all()


def test_half_precision() -> None:
    """The mean of many large scores is beyond what float16 can tell."""
    scores = (1000 + 10 * random("single_head")).half()
    z, d_scores = pull(Identity(SingleHead(), projection="std"), scores, random("single_head", 1).half())
    assert z.dtype == d_scores.dtype == torch.float16 and d_scores.isfinite().all() and d_scores.any()


@pytest.mark.parametrize(
    "config, message", [({"projection": "sphere"}, "projection .* 'sphere'"), ({"margin": -1.0}, "margin must be")]
)
def test_wrong_settings_are_refused_by_name(config: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        StructuredArgmax.from_params(Params({"type": "identity", "structure": "single_head", **config}))


def test_graphs_are_projected_onto_the_sphere_by_default() -> None:
    graph = SemanticGraph()
    z, _ = pull(Identity(graph), random("semantic_graph"), random("semantic_graph", 1))
    assert torch.equal(z, graph.argmax(random("semantic_graph"), MASK))
