"""Training goes on from an archive with data that has new words."""

import json

import pytest
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.models import load_archive
from allennlp.predictors import Predictor

from tests import FIXTURES_ROOT


@pytest.mark.parametrize("vocabulary, count", [("spigot_extend", 2), ("extend", 1)])
def test_new_words_are_trained(parser_archive, tmp_path, vocabulary, count):
    for suffix in (".sdp", ".conllu"):
        text = (FIXTURES_ROOT / "toy" / f"toy{suffix}").read_text()
        assert text.count("\tMia\t") > 0
        (tmp_path / f"new{suffix}").write_text(text.replace("\tMia\t", "\tZoe\t"))
    config = Params.from_file(FIXTURES_ROOT / "syntactic_then_semantic.jsonnet").as_dict(quiet=True)
    config |= {
        "train_data_path": str(tmp_path / "new.sdp"),
        "model": {"type": "from_archive", "archive_file": str(parser_archive)},
        "vocabulary": {"type": vocabulary, "directory": str(parser_archive.parent / "vocabulary")},
    }
    train_model(Params(config), tmp_path / "output")
    before, after = (load_archive(archive).model for archive in (parser_archive, tmp_path / "output" / "model.tar.gz"))
    size, index = before.vocab.get_vocab_size("words"), after.vocab.get_token_index("zoe", "words")
    assert index >= size
    modules = dict(after.named_modules())
    (dropout,) = (module for name, module in modules.items() if name.endswith("text_field_embedder"))
    vectors = dropout.embedder.token_embedder_words.weight
    assert len(dropout.counts) == len(vectors) == after.vocab.get_vocab_size("words")
    assert dropout.counts[index] == count and vectors[index].any()
    sentence = {"tokens": ["Zoe"], "tags": ["NNP"], "lemmas": ["Zoe"]}
    output = Predictor.from_path(tmp_path / "output" / "model.tar.gz", "spigot_syntactic_then_semantic")
    assert output.predict_json(sentence)["heads"] == [0]
    assert json.loads((tmp_path / "output" / "metrics.json").read_text())["training_loss"] > 0
