"""An `initializer` draws what no file gave, and nothing else."""

import json

import pytest
import torch
from allennlp.commands.train import TrainModel, train_model_from_file
from allennlp.common import Params

from tests import FIXTURES_ROOT

PIPELINE = FIXTURES_ROOT / "syntactic_then_semantic.jsonnet"
ALL_SEVEN = {"regexes": [[".*", {"type": "constant", "val": 7.0}]]}


@pytest.fixture(autouse=True)
def working_directory(monkeypatch):
    monkeypatch.chdir(FIXTURES_ROOT.parent)


def build(folder, **overrides):
    params = Params.from_file(PIPELINE, json.dumps({f"model.{key}": value for key, value in overrides.items()}))
    return TrainModel.from_params(params=params, serialization_dir=str(folder), local_rank=0).model


def is_seven(module):
    return [bool((weight == 7).all()) for weight in module.parameters()]


def test_everything_is_drawn_where_nothing_was_given(tmp_path):
    assert all(is_seven(build(tmp_path, initializer=ALL_SEVEN)))


@pytest.mark.parametrize("key", ["initializer", "semantic_parser.initializer"])
def test_the_weights_of_a_pretrained_stage_are_kept(tmp_path, key):
    """Whether the pipeline's initializer reaches them or, by the embedder that the stages share, the other stage's."""
    archived = train_model_from_file(PIPELINE, tmp_path / "first", return_model=True).syntactic_parser
    archive = str(tmp_path / "first" / "model.tar.gz")
    model = build(tmp_path / "second", **{"syntactic_parser.pretrained_file": archive, key: ALL_SEVEN})
    for name, weight in archived.state_dict().items():
        assert torch.equal(weight, model.syntactic_parser.state_dict()[name]), name
    assert all(is_seven(model.semantic_parser.encoder))


def test_word_vectors_are_kept(tmp_path):
    (tmp_path / "vectors.txt").write_text("the 0.5 0.5 0.5 0.5\ncat 1.5 0.5 0.5 0.5\n", encoding="utf-8")
    words = "syntactic_parser.text_field_embedder.embedder.token_embedders.words.pretrained_file"
    model = build(tmp_path, **{words: str(tmp_path / "vectors.txt"), "initializer": ALL_SEVEN})
    words, lemmas = (
        model.syntactic_parser.text_field_embedder.embedder.get_submodule(f"token_embedder_{name}")
        for name in ("words", "lemmas")
    )
    index = model.vocab.get_token_index("the", "words")
    assert (words.weight[index] == 0.5).all() and all(is_seven(lemmas))
