import json
import os

# Before torch is imported: two processes share the cores already.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jaxtyping
import pytest
from allennlp.commands.train import train_model_from_file

from tests import FIXTURES_ROOT, programs, shapes

shapes.check_while_importing()

import spigot_allennlp.plugin  # noqa: E402, F401  (registers all of it, as `.allennlp_plugins` does)


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

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(model_process, "_CONTEXT", programs.context())
        yield


@pytest.fixture
def unchecked_shapes():
    """For tests of what the package says of wrong shapes."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
