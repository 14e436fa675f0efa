"""Every training config, cut down by its own settings, trains for an epoch and selects by its own metric."""

import json
from pathlib import Path

import pytest
from allennlp.commands.evaluate import evaluate_from_archive
from allennlp.commands.train import train_model_from_file
from allennlp.common import Params
from allennlp.data import BatchSampler, Instance, Token
from allennlp.data.fields import TextField
from allennlp.data.token_indexers import SingleIdTokenIndexer

from tests import FIXTURES_ROOT

ROOT = FIXTURES_ROOT.parent / "training_configs"
# Those of several processes are trained in tests/framework/test_distributed.py.
CONFIGS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("*/*.jsonnet") if "several_" not in path.name)
SMALL = """
(import '%s') + {
  word_dim:: 8, lemma_dim:: 3, pos_dim:: 2, hidden_dim:: 4, mlp_dim:: 5, classifier_dim:: 4,
  pruner+:: { word_dim:: 8, lemma_dim:: 3, pos_dim:: 2, hidden_dim:: 4, mlp_dim:: 5 },
  trainer+: { num_epochs: 1, callbacks: [], enable_default_callbacks: false },
}
"""


def set_environment(monkeypatch, folder: Path) -> None:
    glove = folder / "glove.txt"
    glove.write_text("".join(f"{word} {' '.join(['0.5'] * 8)}\n" for word in ("the", "tom", "unseen")))
    toy, sentiment = FIXTURES_ROOT / "toy", FIXTURES_ROOT / "sentiment"
    for name, value in {
        "SPIGOT_TRAIN": toy / "toy.sdp",
        "SPIGOT_DEV": toy / "toy.sdp",
        "SPIGOT_TREES_TRAIN": toy / "toy.conllu",
        "SPIGOT_TREES_DEV": toy / "toy.conllu",
        "SPIGOT_SENTIMENT_TRAIN": sentiment / "train.txt",
        "SPIGOT_SENTIMENT_DEV": sentiment / "dev.txt",
        "SPIGOT_GLOVE": glove,
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(FIXTURES_ROOT.parent)


def train_small(name: str, folder: Path) -> Path:
    config = folder / "config.jsonnet"
    config.write_text(SMALL % (ROOT / name))
    train_model_from_file(config, folder / "output")
    return folder / "output"


def train_archive(name: str, folder: Path) -> Path:
    """What another config starts from."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        set_environment(monkeypatch, folder)
        return train_small(name, folder) / "model.tar.gz"


@pytest.fixture(scope="session")
def parser(tmp_path_factory) -> Path:
    """The archive that the second pipeline starts from."""
    return train_archive("semantic_then_sentiment/semantic_parser.jsonnet", tmp_path_factory.mktemp("parser"))


@pytest.fixture(scope="session")
def pruner(tmp_path_factory) -> Path:
    """The archive of the pruner that `spigot_pruned.jsonnet` has."""
    return train_archive("syntactic_then_semantic/pruner.jsonnet", tmp_path_factory.mktemp("pruner"))


@pytest.fixture(scope="session")
def tree_parser(tmp_path_factory) -> Path:
    """The archive that `few_trees.jsonnet` starts from."""
    return train_archive("syntactic_then_semantic/few_trees_parser.jsonnet", tmp_path_factory.mktemp("tree_parser"))


@pytest.fixture
def environment(tmp_path, transformer, parser, tree_parser, pruner, monkeypatch) -> None:
    set_environment(monkeypatch, tmp_path)
    monkeypatch.setenv("SPIGOT_TRANSFORMER", str(transformer))
    monkeypatch.setenv("SPIGOT_PARSER", str(parser))
    monkeypatch.setenv("SPIGOT_PRUNER", str(pruner))
    monkeypatch.setenv("SPIGOT_TREE_PARSER", str(tree_parser))


def test_there_are_configs():
    assert {"syntactic_then_semantic/spigot.jsonnet", "semantic_then_sentiment/spigot.jsonnet"} <= set(CONFIGS)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", CONFIGS)
def test_config_trains_and_evaluates(name, tmp_path):
    output = train_small(name, tmp_path)
    config = json.loads((output / "config.json").read_text())
    metrics = json.loads((output / "metrics.json").read_text())
    chosen_by = config["trainer"]["validation_metric"].removeprefix("+")
    assert 0 <= metrics[f"best_validation_{chosen_by}"] <= 1
    data = config["validation_data_path"]
    evaluated = evaluate_from_archive(output / "model.tar.gz", data if isinstance(data, str) else json.dumps(data))
    assert evaluated[chosen_by] == pytest.approx(metrics[f"best_validation_{chosen_by}"])


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", CONFIGS)
def test_one_long_sentence_is_alone_in_its_batch(name):
    """Of 400 sentences, one has 1,000 tokens; none is padded to its length, in training or validation."""
    lengths = [i % 40 + 1 for i in range(399)] + [1000]
    sentences = [Instance({"tokens": text_field(length)}) for length in lengths]
    params = Params.from_file(ROOT / name)
    for loader in (params["data_loader"], params["validation_data_loader"]):
        sampler = loader.get("scheduler", loader)["batch_sampler"]
        batches = list(BatchSampler.from_params(sampler.duplicate()).get_batch_indices(sentences))
        assert sorted(i for batch in batches for i in batch) == list(range(400))
        padded = [len(batch) * max(lengths[i] for i in batch) for batch in batches]
        assert [399] in batches and sorted(padded)[-2] <= 576


def text_field(length: int) -> TextField:
    return TextField([Token("word")] * length, {"words": SingleIdTokenIndexer()})
