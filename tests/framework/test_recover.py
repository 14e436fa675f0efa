"""A training that is killed goes on with `--recover`, and ends as if nothing had happened."""

import io
import itertools
import json
import os
import random
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch
from allennlp.commands import main
from allennlp.commands import train as train_command
from allennlp.commands.train import train_model_from_file
from allennlp.training import GradientDescentTrainer, gradient_descent_trainer
from allennlp.training.metric_tracker import MetricTracker

from spigot_allennlp.framework.recover import RecoverCallback, get_random_state, set_random_state
from tests import FIXTURES_ROOT, programs

# The shipped demos on few sentences: dropout and word dropout draw from PyTorch's generator; the order of the training
# data and, between its epochs, that of the validation data from Python's.
PIPELINES = {
    "syntactic_then_semantic": """
        (import '%s/syntactic_then_semantic/demo.jsonnet') + {
          train_data_path: 'fixtures/toy/toy.sdp',
          validation_data_path: self.train_data_path,
          batch_tokens:: 18,
    """,
    "semantic_then_sentiment": """
        (import '%s/semantic_then_sentiment/demo.jsonnet') + {
          train_data_path: { graphs: 'fixtures/toy/toy.sdp', sentiment: 'fixtures/sentiment/dev.txt' },
          validation_data_path: self.train_data_path,
          batch_tokens:: 72,
    """,
}
SMALL = """
          word_dim:: 4, lemma_dim:: 3, pos_dim:: 2, hidden_dim:: 4, mlp_dim:: 5, classifier_dim:: 4,
          trainer+: { num_epochs: 4, checkpointer: { save_every_num_batches: 2 } } + %s,
        }
"""


def write_config(path: Path, pipeline: str, trainer: str = "{}") -> Path:
    path.write_text(PIPELINES[pipeline] % (FIXTURES_ROOT.parent / "training_configs") + SMALL % trainer)
    return path


def metrics(output: Path) -> dict[str, float]:
    """Without what the clock and the machine put there."""
    metrics = json.loads((output / "metrics.json").read_text())
    return {key: value for key, value in metrics.items() if not key.endswith(("_duration", "_memory_MB"))}


def same_weights(one: Path, other: Path) -> bool:
    one, other = torch.load(one), torch.load(other)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def die(owner, name: str, call: int, last_act=lambda *args: None) -> None:
    """At the given call of a function, counted from 1, this process is killed."""
    function = getattr(owner, name)
    calls = itertools.count(1)

    def deadly(*args, **kwargs):
        if next(calls) == call:
            last_act(*args)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    setattr(owner, name, deadly)


def write_half(state, path: str, save=torch.save) -> None:
    whole = io.BytesIO()
    save(state, whole)
    Path(path).write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])


# An epoch has at least five batches. A checkpoint has two files: the model's state, then the trainer's.
MOMENTS = {
    "the checkpoint of an epoch is written, best.th is not": (gradient_descent_trainer, "hardlink_or_copy", 1),
    "an epoch is in its fourth batch": (GradientDescentTrainer, "rescale_gradients", 4),
    "the second file of a checkpoint is being written": (torch, "save", 4, write_half),
    "all is trained, and not archived": (train_command, "archive_model", 1),
}


def train(config: Path, output: Path, recover: bool, moment: str = "") -> None:
    if moment:
        die(*MOMENTS[moment])
    torch.set_num_threads(1)
    sys.argv = ["allennlp", "train", str(config), "--serialization-dir", str(output), *["--recover"] * recover]
    main()


def in_process(*args) -> int:
    """Trains in a process of its own, and gives its exit status."""
    process = programs.context().Process(target=train, args=args)
    process.start()
    process.join()
    return process.exitcode


def kill_and_recover(config: Path, output: Path) -> None:
    for number, moment in enumerate(MOMENTS):
        assert in_process(config, output, number > 0, moment) == -signal.SIGKILL, moment
    assert in_process(config, output, True) == 0


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path):
    runs = []
    with ThreadPoolExecutor() as pool:
        for pipeline in PIPELINES:
            config = write_config(tmp_path / f"{pipeline}.jsonnet", pipeline)
            undisturbed, killed = tmp_path / pipeline, tmp_path / f"{pipeline}_killed"
            runs.append((undisturbed, killed, pool.submit(kill_and_recover, config, killed)))
            assert in_process(config, undisturbed, False) == 0
    for undisturbed, killed, recovered in runs:
        recovered.result()
        assert metrics(killed) == metrics(undisturbed)
        assert (killed / "model.tar.gz").exists()
        for weights in ("best.th", "model_state_e4_b0.th"):
            assert same_weights(killed / weights, undisturbed / weights)


def go_back(output: Path, epochs: int, batches: int) -> None:
    """Leaves the training as it was after a checkpoint."""
    for path in output.glob("*_state_e*_b*.th"):
        checkpoint = tuple(int(part[1:]) for part in path.stem.split("_")[2:])
        if checkpoint > (epochs, batches):
            path.unlink()
    (output / "metrics.json").unlink()
    (output / "model.tar.gz").unlink()


# What one epoch leaves to the next, drawn where validation has drawn before; and a loader that draws for every batch.
LOADERS = {
    "an epoch is a part of the data": (
        "semantic_then_sentiment",
        """
          data_loader+: { instances_per_epoch: 30, sampler: 'proportional' },
          validation_data_loader+: { shuffle: true },
        """,
    ),
    "an epoch is some batches, two a step": (
        "syntactic_then_semantic",
        """
          data_loader: { batches_per_epoch: 3, batch_size: 2, shuffle: true, max_instances_in_memory: 4 },
          trainer+: { num_gradient_accumulation_steps: 2 },
        """,
    ),
}


@pytest.mark.parametrize("case", LOADERS)
def test_in_the_middle_of_an_epoch(case, tmp_path):
    pipeline, loader = LOADERS[case]
    checkpoints = "{ checkpointer: { save_every_num_batches: 1, keep_most_recent_by_count: null } }"
    config = write_config(tmp_path / "config.jsonnet", pipeline, checkpoints)
    config.write_text(f"{config.read_text()} + {{ {loader} }}")
    output = tmp_path / "output"
    train_model_from_file(config, output)
    undisturbed = metrics(output), torch.load(output / "model_state_e4_b0.th")
    go_back(output, 2, 1)
    assert (output / "model_state_e2_b1.th").exists() and not (output / "model_state_e2_b2.th").exists()
    train_model_from_file(config, output, recover=True)
    recovered = metrics(output), torch.load(output / "model_state_e4_b0.th")
    assert recovered[0] == undisturbed[0]
    assert all(torch.equal(recovered[1][name], weight) for name, weight in undisturbed[1].items())


def test_a_training_that_has_stopped_early_is_not_continued(tmp_path):
    settings = "{ patience: 1, optimizer+: { lr: 0.0 } }"
    config = write_config(tmp_path / "config.jsonnet", "syntactic_then_semantic", settings)
    train_model_from_file(config, tmp_path / "output")
    undisturbed = metrics(tmp_path / "output")
    assert undisturbed["epoch"] == 1
    go_back(tmp_path / "output", 2, 0)
    train_model_from_file(config, tmp_path / "output", recover=True)
    assert metrics(tmp_path / "output") == undisturbed


def trainer(**settings) -> SimpleNamespace:
    """As much of a trainer as the callback asks for."""
    defaults = {"cuda_device": torch.device("cpu"), "data_loader": [], "_scaler": None}
    return SimpleNamespace(_metric_tracker=MetricTracker("-loss", patience=None), **{**defaults, **settings})


def test_the_scale_of_the_gradients(tmp_path):
    saved, restored = (torch.amp.GradScaler("cpu", init_scale=scale) for scale in (8.0, 65536.0))
    before, after = RecoverCallback(str(tmp_path)), RecoverCallback(str(tmp_path))
    before.on_start(trainer(_scaler=saved))
    after.load_state_dict(before.state_dict())
    after.on_start(trainer(_scaler=restored))
    assert restored.get_scale() == 8.0


def test_a_random_state_is_kept_in_a_file(tmp_path):
    def draw() -> tuple[float, ...]:
        # One normal number of two that these generators make at once.
        return random.gauss(0, 1), random.random(), numpy.random.randn(), numpy.random.rand(), torch.randn(3).tolist()

    device = torch.device("cpu")
    draw()
    torch.save(get_random_state(device), tmp_path / "state")
    first = draw()
    assert draw() != first
    set_random_state(torch.load(tmp_path / "state"), device)
    assert draw() == first
