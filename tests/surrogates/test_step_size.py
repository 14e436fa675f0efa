import math

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import SingleHead
from spigot_allennlp.surrogates import Spigot, StepSize


def build(name: str) -> StepSize:
    return StepSize.from_params(Params({"type": name, "start": 4.0, "end": 1.0, "num_passes": 3}))


@pytest.mark.parametrize(
    "name, expected",
    [
        ("linear", [4, 3, 2, 1, 1, 1]),
        ("cosine", [2.5 + 1.5 * math.cos(math.pi * i / 3) for i in range(4)] + [1, 1]),
    ],
)
def test_schedules(name: str, expected: list[float]) -> None:
    step_size = build(name)
    torch.testing.assert_close(torch.tensor([float(step_size()) for _ in expected]), torch.tensor(expected).float())


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_only_training_advances(name: str) -> None:
    step_size = build(name)
    step_size()
    at_test = [float(step_size.eval()()) for _ in range(3)]
    assert at_test == [float(step_size.train()())] * 3
    assert float(step_size()) < at_test[0]


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_checkpoints_resume(name: str) -> None:
    step_size, resumed = build(name), build(name)
    step_size(), step_size()
    resumed.load_state_dict(step_size.state_dict())
    assert float(resumed()) == float(step_size()) < 4


def test_a_layer_steps_as_far_as_its_schedule_says() -> None:
    layer = Spigot(SingleHead(), step_size=build("linear"), max_gradient_norm=None)
    # The step stays inside the simplex, so that the gradient is the step.
    d_z = torch.zeros(1, 3, 3)
    d_z[0, 1, 0], d_z[0, 1, 2] = 0.1, -0.1
    scores = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]]], requires_grad=True)
    mask = torch.ones(1, 3, dtype=torch.bool)
    outputs = [layer(scores, mask) for _ in range(3)]
    for z, size in zip(outputs, (4, 3, 2), strict=True):
        torch.testing.assert_close(torch.autograd.grad(z, scores, d_z)[0], size * d_z)


@pytest.mark.parametrize("key", ["start", "end", "num_passes"])
def test_wrong_settings_are_refused_by_name(key: str) -> None:
    with pytest.raises(ConfigurationError, match=key):
        StepSize.from_params(Params({"type": "linear", "start": 1.0, "end": 1.0, "num_passes": 1} | {key: 0}))
