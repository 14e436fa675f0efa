"""
A project that has nothing to do with this package, on a machine whose user has it among the framework's plugins: its
trainings and its errors are what they are without.
"""

import json
from pathlib import Path

import pytest
import torch

from tests.programs import Program, run

CONFIG = {
    "dataset_reader": {"type": "text_classification_json", "tokenizer": "just_spaces"},
    "train_data_path": "data.jsonl",
    "validation_data_path": "data.jsonl",
    "model": {
        "type": "basic_classifier",
        "text_field_embedder": {"token_embedders": {"tokens": {"type": "embedding", "embedding_dim": 4}}},
        "seq2vec_encoder": {"type": "bag_of_embeddings", "embedding_dim": 4},
        "dropout": 0.5,
    },
    "data_loader": {"batch_sampler": {"type": "max_tokens_sampler", "max_tokens": 8}},
    "trainer": {"num_epochs": 2, "optimizer": "adam", "validation_metric": "+accuracy"},
}
CONFIGS = {
    "plain": CONFIG,
    "accumulated": {**CONFIG, "trainer": {**CONFIG["trainer"], "num_gradient_accumulation_steps": 2}},
    "broken": {**CONFIG, "train_data_path": "nowhere.jsonl"},
}
TRAIN = """
import sys
from allennlp.__main__ import run

try:
    for name in sys.argv[1:]:
        sys.argv = ["allennlp", "train", f"{name}.json", "-s", name]
        run()
finally:
    print("spigot_allennlp.plugin" in sys.modules, file=sys.stderr)
"""


def train(folder: Path, plugins: str, *names: str) -> Program:
    (folder / ".allennlp_plugins").write_text(plugins)
    lines = [{"text": f"good {'very ' * (i % 5)}{i}", "label": str(i % 2)} for i in range(20)]
    (folder / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name, config in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    return run(TRAIN, *names, folder=folder)


@pytest.fixture(scope="module")
def projects(tmp_path_factory) -> dict[str, Path]:
    """The same two trainings, and one that fails, without the plugin and with it."""
    projects = {}
    for name, plugins in (("without", ""), ("with", "spigot_allennlp.plugin\n")):
        folder = projects[name] = tmp_path_factory.mktemp(name)
        if plugins:  # which is for one command a process
            trained = train(folder, plugins, "plain", "accumulated")
            assert trained.status == 0, trained.errors[-3000:]
            failed = train(folder, plugins, "broken")
        else:
            failed = train(folder, plugins, *CONFIGS)
        assert failed.status == 1
        assert str(plugins != "") in failed.errors.splitlines()
        (folder / "stderr").write_text(failed.errors)
    return projects


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "accumulated"])
def test_the_same_training(projects, name):
    without, with_plugin = (project / name for project in projects.values())
    assert files(without) == files(with_plugin) >= {"model.tar.gz", "best.th", "vocabulary/.lock"}
    for file in without.glob("vocabulary/*.txt"):
        assert file.read_bytes() == (with_plugin / "vocabulary" / file.name).read_bytes()
    for file in without.glob("*.th"):
        assert equal(torch.load(file), torch.load(with_plugin / file.name)), file.name
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (without, with_plugin)]
    for name in metrics[0]:
        assert metrics[0][name] == metrics[1][name] or name.endswith(("_duration", "_memory_MB"))


def equal(one, other) -> bool:
    """Whether checkpoints hold the same, to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


@pytest.mark.slow
def test_the_same_error(projects):
    without, with_plugin = ((project / "stderr").read_text() for project in projects.values())
    traceback = without[without.index("Traceback") :]
    assert traceback == with_plugin[with_plugin.index("Traceback") :]
    assert traceback.splitlines()[-1] == "FileNotFoundError: file nowhere.jsonl not found"


@pytest.mark.slow
def test_the_same_remains(projects):
    without, with_plugin = (project / "broken" for project in projects.values())
    assert files(without) == files(with_plugin) == {"config.json", "meta.json", "out.log"}
    assert "Traceback" in (with_plugin / "out.log").read_text()
