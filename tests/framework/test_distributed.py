"""Two workers on one machine train what the shipped configs declare, and their figures are those of one process."""

import importlib
import json
import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from allennlp.commands import train
from allennlp.commands.evaluate import evaluate_from_archive
from allennlp.commands.train import train_model_from_file
from allennlp.common.checks import ConfigurationError
from allennlp.common.testing import run_distributed_test
from allennlp.common.util import find_open_port
from allennlp.data import DatasetReader
from allennlp.training.metrics import CategoricalAccuracy
from torch.multiprocessing import ProcessRaisedException

from spigot_allennlp.framework.bad_input import explain
from spigot_allennlp.framework.checkpointer import WholeCheckpointer
from spigot_allennlp.framework.distributed import counts_alone
from spigot_allennlp.training.metrics import Accuracy
from tests import FIXTURES_ROOT, programs

ROOT = FIXTURES_ROOT.parent
DATA = FIXTURES_ROOT / "ewt"
ENVIRONMENT = {
    "SPIGOT_TRAIN": str(DATA / "train.sdp"),
    "SPIGOT_DEV": str(DATA / "dev.sdp"),
    "SPIGOT_GLOVE": "not read",
    "SPIGOT_PRIMARY_ADDRESS": "127.0.0.1",
}
SMALL = """
(import '%s') + {
  word_dim:: 8, hidden_dim:: 20, mlp_dim:: 10, classifier_dim:: 8, lemma_dim:: 3, pos_dim:: 2, batch_tokens:: 36,
  glove:: null, trainer+: { num_epochs: 1, enable_default_callbacks: false },
}
"""


@pytest.fixture
def small_dev(tmp_path) -> dict[str, str]:
    """29 sentences of each corpus: in batches of two, one worker has a batch more than the other."""
    for file in ("ewt/dev.sdp", "ewt/dev.conllu", "sentiment/dev.txt"):
        blocks = (FIXTURES_ROOT / file).read_text(encoding="utf-8").split("\n\n")[:29]
        (tmp_path / Path(file).name).write_text("\n\n".join(blocks) + "\n\n", encoding="utf-8")
    return {"graphs": str(tmp_path / "dev.sdp"), "sentiment": str(tmp_path / "dev.txt")}


def _work(rank: int, function: Callable, *args: Any) -> None:
    torch.set_num_threads(1)  # two workers share two cores
    # One that waits for another in vain is to fail, and not to hang.
    torch.distributed.init_process_group = partial(torch.distributed.init_process_group, timeout=timedelta(minutes=5))
    function(rank, *args)


@pytest.fixture
def light_workers(monkeypatch) -> None:
    """Workers that start from a process that has imported the framework, and has no threads that a fork would lose."""
    programs.context()
    monkeypatch.setattr(train.mp, "spawn", partial(_spawn, "forkserver"))
    monkeypatch.chdir(ROOT)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def _spawn(start_method: str, function: Callable, args: tuple, nprocs: int) -> None:
    torch.multiprocessing.start_processes(_work, args=(function, *args), nprocs=nprocs, start_method=start_method)


def _check_shards(rank: int, world_size: int, device: object, reader: DatasetReader, file: Path, whole: list) -> None:
    own = [" ".join(instance["metadata"]["tokens"]) for instance in reader.read(file)]
    shards: list = [None] * world_size
    torch.distributed.all_gather_object(shards, own)
    assert abs(len(shards[0]) - len(shards[1])) <= 1
    assert sorted(shards[0] + shards[1]) == whole


@pytest.mark.parametrize(
    ("name", "file"),
    [("spigot_sdp", "ewt/dev.sdp"), ("spigot_conllu", "ewt/dev.conllu"), ("spigot_sentiment", "sentiment/dev.txt")],
)
def test_each_worker_reads_its_own_shard(name, file):
    reader, path = DatasetReader.by_name(name)(), FIXTURES_ROOT / file
    whole = sorted(" ".join(instance["metadata"]["tokens"]) for instance in reader.read(path))
    run_distributed_test([-1, -1], _check_shards, reader, path, whole)


def write_config(config: str, folder: Path) -> Path:
    path = folder / "config.jsonnet"
    path.write_text(SMALL % (ROOT / "training_configs" / config), encoding="utf-8")
    return path


def overrides(**settings) -> str:
    return json.dumps({"distributed": {"cuda_devices": [-1, -1]}, **settings})


def validate_on(dev: dict[str, str]) -> dict:
    return {"validation_data_path": dev["graphs"], "validation_data_loader": {"batch_size": 2}}


def check_against_one_process(output: Path, validation_data: str) -> None:
    metrics = json.loads((output / "metrics.json").read_text())
    alone = evaluate_from_archive(output / "model.tar.gz", validation_data)
    names = alone.keys() - {"loss"}
    assert {name: alone[name] for name in names} == {name: metrics[f"best_validation_{name}"] for name in names}
    # Nothing is compared by zeros alone.
    assert 0 < alone.get("uas", alone.get("accuracy")) < 1


@pytest.mark.usefixtures("light_workers")
def test_several_gpus(small_dev, tmp_path):
    config = write_config("syntactic_then_semantic/several_gpus.jsonnet", tmp_path)
    train_model_from_file(config, tmp_path / "output", overrides=overrides(**validate_on(small_dev)))
    check_against_one_process(tmp_path / "output", small_dev["graphs"])


def _train_node(rank: int, config: Path, folder: Path, settings: str) -> None:
    importlib.import_module("spigot_allennlp.plugin")
    train.mp.spawn = partial(_spawn, "fork")
    os.environ.update(ENVIRONMENT)
    train_model_from_file(config, folder / f"output{rank}", overrides=settings, node_rank=rank)


@pytest.mark.slow
@pytest.mark.usefixtures("light_workers")
def test_several_machines(small_dev, tmp_path):
    """Two nodes with a worker each, of which only the first needs to be found."""
    config = write_config("syntactic_then_semantic/several_machines.jsonnet", tmp_path)
    distributed = {"cuda_devices": [-1], "num_nodes": 2, "primary_port": find_open_port()}
    settings = json.dumps(
        {**{f"distributed.{key}": value for key, value in distributed.items()}, **validate_on(small_dev)}
    )
    nodes = torch.multiprocessing.start_processes(
        _train_node, (config, tmp_path, settings), nprocs=2, join=False, start_method="forkserver"
    )
    while not nodes.join():
        pass
    for output in (tmp_path / "output0", tmp_path / "output1"):
        check_against_one_process(output, small_dev["graphs"])


@pytest.mark.slow
@pytest.mark.usefixtures("light_workers")
def test_a_stage_that_gets_no_gradient(small_dev, tmp_path):
    """Without trees, and with a rule that passes no gradient, the first stage learns nothing."""
    config = write_config("syntactic_then_semantic/demo.jsonnet", tmp_path)
    settings = {
        "dataset_reader.trees": "none",
        "model.intermediate": {"type": "pipeline", "structure": {"type": "nonprojective_tree"}},
        "train_data_path": small_dev["graphs"],
        "validation_data_path": small_dev["graphs"],
    }
    train_model_from_file(config, tmp_path / "output", overrides=overrides(**settings))
    assert (tmp_path / "output" / "model.tar.gz").exists()


# The command, with workers that are forks in place of new interpreters.
TRAIN = f"""
from functools import partial
import torch

torch.multiprocessing.spawn = partial(torch.multiprocessing.start_processes, start_method="fork")
torch.set_num_threads(1)
{programs.THE_COMMAND}
"""


@pytest.mark.slow
def test_semantic_then_sentiment_by_the_command(small_dev, tmp_path):
    """Batches are of two kinds, and the workers' orders differ."""
    config = write_config("semantic_then_sentiment/demo.jsonnet", tmp_path)
    options = ["-s", tmp_path / "output", "-o", overrides(validation_data_path=small_dev)]
    ended = programs.run(TRAIN, "train", config, *options)
    assert ended.status == 0, ended.errors[-3000:]
    check_against_one_process(tmp_path / "output", json.dumps(small_dev))


@pytest.mark.usefixtures("light_workers")
def test_a_test_set_is_refused_before_the_training(small_dev, tmp_path):
    config = write_config("syntactic_then_semantic/demo.jsonnet", tmp_path)
    settings = {
        "train_data_path": small_dev["graphs"],
        "validation_data_path": small_dev["graphs"],
        "test_data_path": small_dev["graphs"],
        "evaluate_on_test": True,
    }
    with pytest.raises(ProcessRaisedException) as caught:
        train_model_from_file(config, tmp_path / "output", overrides=overrides(**settings))
    assert "run `allennlp evaluate` on the archive" in explain(caught.value)
    assert not any((tmp_path / "output").glob("*.th"))


def _load_latest(rank: int, world_size: int, device: object, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"same latest checkpoint .* model_state_e1_b0.th, model_state_e2"):
        WholeCheckpointer(folder / str(rank)).load_checkpoint()


def test_machines_with_unlike_checkpoints_do_not_wait_for_each_other(tmp_path):
    for rank, epochs in enumerate([(1, 2), (1,)]):
        (tmp_path / str(rank)).mkdir()
        for epoch in epochs:
            for name in ("model", "training"):
                torch.save({}, tmp_path / str(rank) / f"{name}_state_e{epoch}_b0.th")
    run_distributed_test([-1, -1], _load_latest, tmp_path)


class TestMetricsThatNeedNoOtherWorker:
    def test_only_models_whose_metrics_all_count_alone(self):
        model = torch.nn.Module()
        assert not counts_alone(model)
        model.accuracy = Accuracy()
        assert counts_alone(model)
        model.stage = torch.nn.Module()
        model.stage.accuracy = CategoricalAccuracy()
        assert not counts_alone(model)

    @pytest.mark.parametrize("container", [{"accuracy": CategoricalAccuracy()}, [CategoricalAccuracy()]])
    def test_metrics_in_a_container_are_seen(self, container):
        model = torch.nn.Module()
        model.accuracy = Accuracy()
        model.metrics = container
        assert not counts_alone(model)
