"""The same seeds give the same training, to the last bit."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from allennlp.commands.train import train_model_from_file

from spigot_allennlp.surrogates import StructuredArgmax
from tests import FIXTURES_ROOT

# CUDA reads it once, before its first LSTM.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:2")
STRUCTURES = {
    "syntactic_then_semantic": {"type": "nonprojective_tree", "single_root": True},
    "semantic_then_sentiment": {"type": "semantic_graph"},
}


@pytest.fixture(autouse=True)
def deterministic_gpu() -> Iterator[None]:
    """What docs/training.md says that a GPU, where there is one, has to be asked for."""
    torch.use_deterministic_algorithms(torch.cuda.is_available())
    yield
    torch.use_deterministic_algorithms(False)


def train(pipeline: str, method: str, output: Path, seed: int = 1) -> dict[str, torch.Tensor | float]:
    """All numbers that three epochs of the pipeline's toy leave behind."""
    structure = STRUCTURES[pipeline]
    noisy = {"argmax": {"type": "straight_through", "structure": structure}}
    settings = {
        "model.intermediate": {"type": method, **(noisy if method == "perturb_and_map" else {"structure": structure})},
        "trainer.num_epochs": 3,
        "trainer.cuda_device": 0 if torch.cuda.is_available() else -1,
        "pytorch_seed": seed,
    }
    train_model_from_file(FIXTURES_ROOT / f"{pipeline}.jsonnet", output, overrides=json.dumps(settings))
    metrics = json.loads((output / "metrics.json").read_text())
    numbers = {name: value for name, value in metrics.items() if not name.endswith(("_duration", "_memory_MB"))}
    return {**torch.load(output / "model_state_e3_b0.th"), **numbers}


def different(one: dict[str, torch.Tensor | float], other: dict[str, torch.Tensor | float]) -> set[str]:
    assert one.keys() == other.keys()
    return {
        name for name, value in one.items() if not torch.equal(torch.as_tensor(value), torch.as_tensor(other[name]))
    }


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(StructuredArgmax.list_available()))
@pytest.mark.parametrize("pipeline", STRUCTURES)
def test_the_same_seeds(pipeline, method, tmp_path):
    first, second = (train(pipeline, method, tmp_path / name) for name in ("first", "second"))
    assert not different(first, second)


def test_another_seed(tmp_path):
    first, second = (train("syntactic_then_semantic", "spigot", tmp_path / str(seed), seed) for seed in (1, 2))
    assert "best_validation_loss" in different(first, second)
