import json
import os
from pathlib import Path

# Before torch is imported: two processes share the cores already.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jaxtyping
import pytest
from allennlp.commands.train import train_model_from_file
from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast

from tests import ALL_TESTS, FIXTURES_ROOT, programs, shapes

shapes.check_while_importing()

import spigot_allennlp.plugin  # noqa: E402, F401  (registers all of it, as `.allennlp_plugins` does)


def pytest_configure(config: pytest.Config) -> None:
    """Leaves out what is marked `slow`, but where all tests run, or the command says which are to run."""
    is_chosen = config.option.markexpr or config.option.keyword or any("::" in argument for argument in config.args)
    if not ALL_TESTS and not is_chosen:
        config.option.markexpr = "not slow"


@pytest.fixture(scope="session")
def parser_archive(tmp_path_factory):
    """The archive of a pipeline of two parsers, with labelled trees, after an epoch on the toy."""
    output = tmp_path_factory.mktemp("parser") / "output"
    overrides = {"model.syntactic_parser.label_feedforward": {"num_layers": 1, "hidden_dims": 4, "activations": "relu"}}
    train_model_from_file(FIXTURES_ROOT / "syntactic_then_semantic.jsonnet", output, overrides=json.dumps(overrides))
    return output / "model.tar.gz"


@pytest.fixture(scope="session")
def transformer(tmp_path_factory) -> Path:
    """
    A tiny transformer of 510 positions, with random weights and a byte-level vocabulary, saved as the library saves it.
    """
    folder = tmp_path_factory.mktemp("transformer")
    alphabet = sorted(set("ĠĊ") | {chr(i) for i in range(33, 127)} | {chr(i) for i in range(161, 173)})
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    RobertaModel(RobertaConfig(vocab_size=len(tokens), max_position_embeddings=512, **size)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def quick_model_processes():
    """Models of a server are in forks of a process that has imported everything, in place of new interpreters."""
    from spigot_allennlp.server import model_process

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(model_process, "_CONTEXT", programs.context())
        yield


@pytest.fixture
def unchecked_shapes():
    """For tests of what the package says of wrong shapes."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
