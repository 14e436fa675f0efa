"""A training that is killed goes on with `--recover`, and ends as if nothing had happened."""

import io
import itertools
import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from allennlp.commands import main
from allennlp.training import GradientDescentTrainer, gradient_descent_trainer

from tests import FIXTURES_ROOT

# The framework saves no random generator. Only the order of training draws from one here, and it is drawn anew: there
# is no word dropout, and validation takes the sentences as they come. No epoch is better than the first: what is
# archived in the end must have survived every kill.
CONFIG = """
(import '%s') + {
  embedder+:: { token_embedders+: { words+: { alpha: 0.0 } } },
  data_loader: { batch_size: 2, shuffle: true },
  validation_data_loader: { batch_size: 16 },
  trainer+: { num_epochs: 4, validation_metric: '+labelled_f1', checkpointer: { save_every_num_batches: 2 } },
}
"""


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


# Imported once for all processes. The last two are imported late, by PyTorch's first optimizer and by the first tree.
PRELOADED = ["allennlp.commands", "spigot_allennlp", "torch._dynamo", "spigot_allennlp.nn.kernels.chu_liu_edmonds"]

# An epoch has five batches, and three checkpoints of two files each: the model's state, then the trainer's.
MOMENTS = {
    "the checkpoint of an epoch is written, best.th is not": (gradient_descent_trainer, "hardlink_or_copy", 1),
    "an epoch is in its fourth batch": (GradientDescentTrainer, "rescale_gradients", 4),
    "the second file of a checkpoint is being written": (torch, "save", 4, write_half),
}


def train(config: Path, output: Path, recover: bool, moment: str = "") -> None:
    if moment:
        die(*MOMENTS[moment])
    torch.set_num_threads(1)
    sys.argv = ["allennlp", "train", str(config), "--serialization-dir", str(output), *["--recover"] * recover]
    main()


@pytest.fixture
def run():
    """Trains in a process of its own, and gives its exit status."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)

    def run(*args) -> int:
        process = context.Process(target=train, args=args)
        process.start()
        process.join()
        return process.exitcode

    return run


def metrics(output: Path) -> dict[str, float]:
    """Without what the clock and the machine put there."""
    metrics = json.loads((output / "metrics.json").read_text())
    return {key: value for key, value in metrics.items() if not key.endswith(("_duration", "_memory_MB"))}


def same_weights(one: Path, other: Path) -> bool:
    one, other = torch.load(one), torch.load(other)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
def test_killed_at_any_moment(run, tmp_path):
    config, undisturbed, killed = tmp_path / "config.jsonnet", tmp_path / "undisturbed", tmp_path / "killed"
    config.write_text(CONFIG % (FIXTURES_ROOT / "syntactic_then_semantic.jsonnet"))

    assert run(config, undisturbed, False) == 0
    for number, moment in enumerate(MOMENTS):
        assert run(config, killed, number > 0, moment) == -signal.SIGKILL, moment
    assert run(config, killed, True) == 0

    assert metrics(killed) == metrics(undisturbed)
    assert (killed / "model.tar.gz").exists()
    for weights in ("best.th", "model_state_e4_b0.th"):
        assert same_weights(killed / weights, undisturbed / weights)
    assert not same_weights(killed / "best.th", killed / "model_state_e4_b0.th")
