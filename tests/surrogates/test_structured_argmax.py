"""What is said of all surrogates once: how they are configured, and that they do not see each other."""

import copy
from typing import Any

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import NonprojectiveTree, ProjectiveTree
from spigot_allennlp.surrogates import Spigot, StraightThrough, StructuredArgmax
from spigot_allennlp.surrogates.structured_argmax import clip_norm
from tests.surrogates.table import pull

SCORES, D_Z = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.double)
MASK = torch.arange(6) < torch.tensor([[6], [1], [4]])


def test_gradients_are_clipped_by_sentence() -> None:
    d_z = D_Z.clone()
    d_z[2] *= 1e-3  # below the bound already
    _, d_scores = pull(StraightThrough(NonprojectiveTree(), max_gradient_norm=0.5), SCORES, d_z, MASK)
    torch.testing.assert_close(d_scores[0].norm(), torch.tensor(0.5, dtype=torch.double))
    torch.testing.assert_close(d_scores[2], d_z[2] * NonprojectiveTree().parts(SCORES, MASK)[2])


def test_clipping_keeps_the_direction_and_gradients_of_0() -> None:
    gradient = torch.stack((3 * D_Z[0], torch.zeros(6, 6)))
    clipped = clip_norm(gradient, 2.0)
    torch.testing.assert_close(clipped[0], gradient[0] * 2 / gradient[0].norm())
    assert not clipped[1].any() and clip_norm(gradient, None) is gradient


def test_two_layers_do_not_interact() -> None:
    layers = Spigot(NonprojectiveTree(single_root=True)), Spigot(ProjectiveTree(), step_size=0.1)
    alone = [pull(layer, SCORES, D_Z, MASK)[1] for layer in layers]
    scores = SCORES.clone().requires_grad_()
    outputs = [layer(scores, MASK) for layer in layers]
    (together,) = torch.autograd.grad(outputs, scores, [D_Z, D_Z])
    torch.testing.assert_close(together, sum(alone))


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
    layer(SCORES, MASK)
    resumed = StructuredArgmax.from_params(Params(copy.deepcopy(config)))
    resumed.load_state_dict(layer.state_dict())
    for before, after in zip(pull(layer, SCORES, D_Z, MASK), pull(resumed, SCORES, D_Z, MASK), strict=True):
        assert torch.equal(before, after)


def test_every_registered_type_is_configured_here() -> None:
    assert {config.get("type", "spigot") for config in CONFIGS} == set(StructuredArgmax.list_available())


@pytest.mark.parametrize(
    "config, message",
    [
        ({"step_size": 0.0}, "^step_size must be a positive number, but is 0.0$"),
        ({"step_size": float("inf")}, "^step_size must be a positive number, but is inf$"),
        ({"max_gradient_norm": -1.0}, "^max_gradient_norm must be a positive number, but is -1.0$"),
        ({"max_gradient_norm": 0.0}, "^max_gradient_norm must be a positive number, but is 0.0$"),
        ({"polytope": "round"}, "^polytope must be one of local, exact, but is 'round'$"),
        ({"type": "imle", "noise_scale": -1.0}, "^noise_scale must be a number that is not negative, but is -1.0$"),
        ({"type": "sparsemap", "step_size": 1.0}, "step_size"),
    ],
)
def test_wrong_settings_are_refused_by_name(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        StructuredArgmax.from_params(Params({"structure": "nonprojective_tree", **config}))
