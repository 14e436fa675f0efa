import json
import multiprocessing
import os

# Before torch is imported: two processes share the cores already.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from allennlp.commands.train import train_model_from_file

import spigot_allennlp.plugin  # noqa: F401
from tests import FIXTURES_ROOT


@pytest.fixture(scope="session")
def parser_archive(tmp_path_factory):
    """The archive of a pipeline of two parsers, with labelled trees, after an epoch on the toy."""
    output = tmp_path_factory.mktemp("parser") / "output"
    overrides = {"model.syntactic_parser.label_feedforward": {"num_layers": 1, "hidden_dims": 4, "activations": "relu"}}
    train_model_from_file(FIXTURES_ROOT / "syntactic_then_semantic.jsonnet", output, overrides=json.dumps(overrides))
    return output / "model.tar.gz"


@pytest.fixture(scope="session")
def quick_model_processes():
    """Models of a server are in forks of a process that has imported everything, in place of new interpreters."""
    from spigot_allennlp.server import model_process

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["spigot_allennlp.plugin"])
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(model_process, "_CONTEXT", context)
        yield
