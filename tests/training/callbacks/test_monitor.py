"""The monitor shows what the gradient does, in the places that users look at, and leaves no trace in the training."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from allennlp.commands.train import train_model_from_file
from allennlp.common.checks import ConfigurationError
from tensorboardX.proto.event_pb2 import Event

from tests import FIXTURES_ROOT
from tests.framework.test_recover import go_back

PIPELINES = ["syntactic_then_semantic", "semantic_then_sentiment"]
MONITOR = {"type": "spigot_monitor", "every": 1, "num_sentences": 5, "num_pictures": 2}
GRADIENT = {
    "gradient_norm",
    "gradient_norm_clipped",
    "sentences_clipped",
    "score_gradient_norm",
    "score_range",
    "target_differs",
}


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch) -> None:
    monkeypatch.chdir(FIXTURES_ROOT.parent)


def train(pipeline: str, output: Path, callbacks: list[dict], recover: bool = False, **settings) -> Path:
    settings = {
        "trainer.num_epochs": 2,
        "trainer.callbacks": callbacks,
        # Dropout draws random numbers, and the order of the data does.
        "model.semantic_parser.dropout": 0.3,
        "trainer.checkpointer": {"save_every_num_batches": 1, "keep_most_recent_by_count": None},
        **settings,
    }
    file = FIXTURES_ROOT / f"{pipeline}.jsonnet"
    train_model_from_file(file, output, overrides=json.dumps(settings), recover=recover, force=not recover)
    return output


def metrics(output: Path) -> dict[str, float]:
    found = json.loads((output / "metrics.json").read_text())
    return {name: figure for name, figure in found.items() if not name.endswith(("_duration", "_memory_MB"))}


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_it_changes_nothing_and_tells_what_it_should(pipeline, tmp_path):
    without, with_it = train(pipeline, tmp_path / "without", []), train(pipeline, tmp_path / "with", [MONITOR])
    one, other = (torch.load(output / "best.th") for output in (without, with_it))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    plain, found = metrics(without), metrics(with_it)
    assert plain.items() <= found.items()
    added = found.keys() - plain.keys()
    expected = {f"training_{name}" for name in {*GRADIENT, "target_distance"}}
    expected |= {f"validation_{name}" for name in ("arcs_changed", "arcs_changed_since_start", "entropy")}
    expected |= {"validation_gold_agreement"}
    if pipeline == "syntactic_then_semantic":
        expected |= {"validation_tree_cosine"}
        assert -1 <= found["validation_tree_cosine"] <= 1 and found["validation_tree_cosine"] != 0
    assert added == expected
    assert found["training_gradient_norm"] >= found["training_gradient_norm_clipped"] > 0
    for name in ("training_sentences_clipped", "training_target_differs", "validation_arcs_changed"):
        assert 0 <= found[name] <= 1
    epochs = [json.loads((with_it / f"metrics_epoch_{epoch}.json").read_text()) for epoch in (0, 1)]
    assert all(expected <= epoch.keys() for epoch in epochs)
    for epoch in range(3):
        picture = (with_it / "latent" / f"epoch_{epoch}.svg").read_text(encoding="utf-8")
        ElementTree.fromstring(picture)
        assert ("as before" in picture) == (epoch > 0)


def test_a_recovered_training_shows_the_same(tmp_path):
    whole = train(PIPELINES[0], tmp_path / "whole", [MONITOR], **{"data_loader": {"batch_size": 4}})
    expected = metrics(whole)
    pictures = drawn(whole)
    go_back(whole, 1, 0)
    train(PIPELINES[0], whole, [MONITOR], recover=True, **{"data_loader": {"batch_size": 4}})
    assert metrics(whole) == expected
    assert drawn(whole) == pictures and len(pictures) == 3


def drawn(output: Path) -> dict[str, str]:
    """Without displaCy's identifiers, which are random."""
    files = (output / "latent").glob("*.svg")
    return {path.name: re.sub("[0-9a-f]{32}", "", path.read_text(encoding="utf-8")) for path in files}


@pytest.mark.parametrize("position", [0, 1])
def test_tensorboard_shows_the_figures_wherever_it_stands(position, tmp_path):
    callbacks = [MONITOR]
    callbacks.insert(position, {"type": "tensorboard"})
    output = train(PIPELINES[0], tmp_path / "output", callbacks)
    tags = {"train": set(), "validation": set()}
    images = []
    for name, found in tags.items():
        for path in (output / "log" / name).iterdir():
            for event in events(path):
                found |= {value.tag for value in event.summary.value}
                images += [(event.step, value.image) for value in event.summary.value if value.tag == "latent"]
    assert {f"train/{name}" for name in GRADIENT} <= tags["train"]
    assert {"validation/arcs_changed", "validation/entropy", "validation/tree_cosine"} <= tags["validation"]
    assert [step for step, _ in images] == [0, 1, 2]
    assert all(image.encoded_image_string.startswith(b"\x89PNG") for _, image in images)


def events(path: Path):
    """Of TensorBoard's format: records of a length, its checksum, the content and its checksum."""
    data = path.read_bytes()
    while data:
        size = int.from_bytes(data[:8], "little")
        yield Event.FromString(data[12 : 12 + size])
        data = data[12 + size + 4 :]


def test_a_model_without_a_structure_between_is_refused(tmp_path):
    file = FIXTURES_ROOT / "dependency_parser.jsonnet"
    overrides = json.dumps({"trainer.callbacks": [MONITOR]})
    with pytest.raises(ConfigurationError, match="needs a model with an intermediate structure"):
        train_model_from_file(file, tmp_path / "refused", overrides=overrides)
