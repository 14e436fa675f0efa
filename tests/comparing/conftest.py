import pytest
from allennlp.commands.train import train_model_from_file

from tests import FIXTURES_ROOT


def train(name, folder):
    """A pipeline after an epoch on its toy."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(FIXTURES_ROOT.parent)
        train_model_from_file(FIXTURES_ROOT / f"{name}.jsonnet", folder / "output")
    return folder / "output" / "model.tar.gz"


@pytest.fixture(scope="session")
def latent_archive(tmp_path_factory):
    return train("latent_tree_classifier", tmp_path_factory.mktemp("latent"))


@pytest.fixture(scope="session")
def sentiment_archive(tmp_path_factory):
    return train("semantic_then_sentiment", tmp_path_factory.mktemp("sentiment"))
