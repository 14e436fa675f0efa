import json

import pytest
import transformers
from allennlp.commands import main
from allennlp.commands.train import train_model_from_file
from allennlp.predictors import Predictor

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.framework.bad_input import explain
from spigot_allennlp.models.word_pieces import _max_positions
from tests import FIXTURES_ROOT

ROBERTA = FIXTURES_ROOT.parent / "training_configs" / "syntactic_then_semantic" / "roberta.jsonnet"
TOY = FIXTURES_ROOT / "toy" / "toy.sdp"
CONFIG = """
(import '%s') + {
  window:: %s, pos_dim:: 2, hidden_dim:: 4, mlp_dim:: 5,
  trainer+: { num_epochs: 1, callbacks: [], enable_default_callbacks: false },
}
"""


def sentence(length):
    return {"tokens": ["word"] * length, "tags": ["NN"] * length, "lemmas": ["word"] * length}


@pytest.fixture(scope="module")
def train(transformer, tmp_path_factory):
    """Trains the shipped config with windows of some size on some data, and returns the archive."""

    def train(window, data=TOY):
        folder = tmp_path_factory.mktemp("training")
        (folder / "config.jsonnet").write_text(CONFIG % (ROBERTA, window))
        with pytest.MonkeyPatch.context() as monkeypatch:
            for name, value in {"TRAIN": data, "DEV": TOY, "GLOVE": "", "TRANSFORMER": transformer}.items():
                monkeypatch.setenv(f"SPIGOT_{name}", str(value))
            train_model_from_file(folder / "config.jsonnet", folder / "output")
        return folder / "output" / "model.tar.gz"

    return train


@pytest.fixture(scope="module")
def without_windows(train):
    return train("null")


@pytest.fixture
def long_data(tmp_path):
    """The toy and one long sentence."""
    rows = "".join(f"{i}\tword\tword\tNN\t-\t-\t_\n" for i in range(1, 601))
    trees = "".join(f"{i}\tword\tword\tNN\tNN\t_\t{i - 1}\tdep\t_\t_\n" for i in range(1, 601))
    (tmp_path / "long.sdp").write_text(f"{TOY.read_text()}\n#long\n{rows}\n")
    (tmp_path / "long.conllu").write_text(f"{TOY.with_suffix('.conllu').read_text()}\n# sent_id = long\n{trees}\n")
    return tmp_path / "long.sdp"


def test_long_sentences_are_read_in_windows(train, long_data):
    predictor = Predictor.from_path(train(60, long_data))
    long, short = predictor.predict_batch_json([sentence(600), sentence(3)])
    assert len(long["heads"]) == 600
    assert short == predictor.predict_json(sentence(3))


def test_without_windows_training_names_the_sentence(train, long_data):
    with pytest.raises(FormatError) as caught:
        train("null", long_data)
    expected = (
        "sentence 'long': expected at most 510 word pieces, which the transformer of 'words' takes at once, found"
    )
    assert explain(caught.value).startswith(expected)


def test_windows_that_are_too_large_are_no_windows(train, long_data):
    with pytest.raises(FormatError, match="sentence 'long': expected at most 510 word pieces"):
        train(511, long_data)


class TestPredict:
    @pytest.fixture
    def predict(self, without_windows, tmp_path, monkeypatch):
        def predict(source, *options, on_error="skip"):
            arguments = ["--output-file", str(tmp_path / "out.jsonl"), "--silent", "--batch-size", "8", *options]
            arguments += ["--predictor-args", json.dumps({"on_error": on_error, "max_tokens_per_batch": 9999})]
            monkeypatch.setattr("sys.argv", ["allennlp", "predict", str(without_windows), str(source), *arguments])
            main()
            return [json.loads(line) for line in (tmp_path / "out.jsonl").open()]

        return predict

    @pytest.fixture
    def lines(self, tmp_path):
        path = tmp_path / "lines.jsonl"
        path.write_text("".join(json.dumps(sentence(length)) + "\n" for length in (1, 600, 2)))
        return path

    def test_the_others_of_its_batch_are_parsed(self, predict, lines):
        first, failed, last = predict(lines)
        assert (len(first["heads"]), len(last["heads"])) == (1, 2)
        assert failed.keys() == {"error", "line"} and failed["line"] == 2
        assert failed["error"].startswith("sentence 'word word")
        assert "expected at most 510 word pieces, which the transformer of 'words' takes at once" in failed["error"]

    def test_a_fatal_one_is_named_by_its_line(self, predict, lines):
        with pytest.raises(FormatError, match=r"^line 2 of the input, not counting empty ones: sentence 'word word"):
            predict(lines, on_error="fatal")

    def test_in_a_file_of_the_training_format(self, predict, long_data):
        outputs = predict(long_data, "--use-dataset-reader")
        assert all("heads" in output for output in outputs[:-1])
        assert outputs[-1].keys() == {"error", "sentence_id"} and outputs[-1]["sentence_id"] == "long"


@pytest.mark.parametrize(
    "name, settings, expected",
    [
        ("Bert", {"max_position_embeddings": 20}, 20),
        ("Roberta", {"max_position_embeddings": 20}, 18),
        ("Bart", {"max_position_embeddings": 20}, 20),
        ("GPT2", {"n_positions": 20}, 20),
        ("T5", {}, None),
    ],
)
def test_how_many_positions_a_transformer_has(name, settings, expected):
    kind, config = getattr(transformers, f"{name}Model"), getattr(transformers, f"{name}Config")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    sizes |= {"d_model": 8, "n_layer": 1, "n_head": 2, "num_layers": 1, "encoder_layers": 1, "decoder_layers": 1}
    sizes |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    assert _max_positions(kind(config(vocab_size=9, **sizes, **settings))) == expected
