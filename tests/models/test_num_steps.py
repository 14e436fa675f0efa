"""Both pipelines tell their intermediate structure what the loss is at other points."""

import json
from pathlib import Path

import pytest
import torch
from allennlp.commands.train import train_model_from_file
from allennlp.common import Params
from allennlp.data import Batch, DatasetReader, Vocabulary
from allennlp.models import Model

from tests import FIXTURES_ROOT

GRAPHS = FIXTURES_ROOT / "toy" / "toy.sdp"
SYNTACTIC = FIXTURES_ROOT / "syntactic_then_semantic.jsonnet"
SENTIMENT = FIXTURES_ROOT / "semantic_then_sentiment.jsonnet"
STRUCTURE = {"type": "nonprojective_tree", "single_root": True}


@pytest.mark.parametrize(
    "config, intermediate",
    [
        (SYNTACTIC, {"type": "spigot", "structure": STRUCTURE, "num_steps": 2}),
        (SYNTACTIC, {"type": "spigot_eg", "structure": STRUCTURE, "gradient_at_marginals": True}),
        (SENTIMENT, {"type": "spigot_ce", "structure": "semantic_graph", "num_steps": 2}),
    ],
    ids=str,
)
def test_trains(config: Path, intermediate: dict, tmp_path: Path) -> None:
    overrides = json.dumps({"model.intermediate": intermediate})
    train_model_from_file(config, tmp_path / "output", overrides=overrides)
    assert (tmp_path / "output" / "model.tar.gz").exists()


@pytest.mark.parametrize(
    "config, data",
    [
        (SYNTACTIC, {"all": GRAPHS}),
        (SENTIMENT, {"sentiment": FIXTURES_ROOT / "sentiment" / "dev.txt", "graphs": GRAPHS}),
    ],
    ids=["syntactic", "sentiment"],
)
def test_the_loss_at_what_was_read_is_the_loss(config: Path, data: dict[str, Path]) -> None:
    torch.manual_seed(0)
    params = Params.from_file(str(config))
    readers = params["dataset_reader"].get("readers", {"all": params["dataset_reader"]})
    instances = {name: list(DatasetReader.from_params(reader).read(data[name])) for name, reader in readers.items()}
    vocab = Vocabulary.from_instances([instance for group in instances.values() for instance in group])
    batch = Batch(instances[next(iter(data))][:4])
    batch.index_instances(vocab)
    model = Model.from_params(vocab=vocab, params=params["model"]).eval()  # no dropout
    tensors = batch.as_tensor_dict()
    tensors.pop("tree", None)  # whose loss comes on top
    seen = []
    model.intermediate.register_forward_hook(lambda module, inputs, z: seen.append((inputs[2], z)))
    loss = model(**tensors)["loss"]
    ((loss_at, z),) = seen
    torch.testing.assert_close(loss_at(z), loss)
    assert not torch.allclose(loss_at(1 - z), loss)
