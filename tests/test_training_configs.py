"""Every training config, cut down by its own settings, trains for an epoch and selects by its own metric."""

import json
from pathlib import Path

import pytest
from allennlp.commands.evaluate import evaluate_from_archive
from allennlp.commands.train import train_model_from_file
from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast

from tests import FIXTURES_ROOT

ROOT = FIXTURES_ROOT.parent / "training_configs"
CONFIGS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("*/*.jsonnet"))
SMALL = """
(import '%s') + {
  word_dim:: 8, lemma_dim:: 3, pos_dim:: 2, hidden_dim:: 4, mlp_dim:: 5,
  trainer+: { num_epochs: 1, callbacks: [], enable_default_callbacks: false },
}
"""


@pytest.fixture(scope="session")
def transformer(tmp_path_factory) -> Path:
    """A tiny transformer with random weights and a byte-level vocabulary, saved as the library saves it."""
    folder = tmp_path_factory.mktemp("transformer")
    alphabet = sorted(set("ĠĊ") | {chr(i) for i in range(33, 127)} | {chr(i) for i in range(161, 173)})
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    RobertaModel(RobertaConfig(vocab_size=len(tokens), max_position_embeddings=512, **size)).save_pretrained(folder)
    return folder


@pytest.fixture
def environment(tmp_path, transformer, monkeypatch) -> None:
    glove = tmp_path / "glove.txt"
    glove.write_text("".join(f"{word} {' '.join(['0.5'] * 8)}\n" for word in ("the", "tom", "unseen")))
    toy = FIXTURES_ROOT / "toy"
    for name, value in {
        "SPIGOT_TRAIN": toy / "toy.sdp",
        "SPIGOT_DEV": toy / "toy.sdp",
        "SPIGOT_TREES_TRAIN": toy / "toy.conllu",
        "SPIGOT_TREES_DEV": toy / "toy.conllu",
        "SPIGOT_GLOVE": glove,
        "SPIGOT_TRANSFORMER": transformer,
    }.items():
        monkeypatch.setenv(name, str(value))


def test_there_are_configs():
    assert "syntactic_then_semantic/spigot.jsonnet" in CONFIGS


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", CONFIGS)
def test_config_trains_and_evaluates(name, tmp_path, monkeypatch):
    monkeypatch.chdir(FIXTURES_ROOT.parent)
    config = tmp_path / "config.jsonnet"
    config.write_text(SMALL % (ROOT / name))
    train_model_from_file(config, tmp_path / "output")
    metrics = json.loads((tmp_path / "output" / "metrics.json").read_text())
    chosen_by = "uas" if name.endswith("dependency_parser.jsonnet") else "labelled_f1"
    assert 0 <= metrics[f"best_validation_{chosen_by}"] <= 1

    if not name.endswith("two_corpora.jsonnet"):  # the framework evaluates no multi-task reader on a single file
        data = "toy.conllu" if name.endswith("dependency_parser.jsonnet") else "toy.sdp"
        evaluated = evaluate_from_archive(tmp_path / "output" / "model.tar.gz", str(FIXTURES_ROOT / "toy" / data))
        if not name.endswith("demo.jsonnet"):
            assert evaluated[chosen_by] == pytest.approx(metrics[f"best_validation_{chosen_by}"])
