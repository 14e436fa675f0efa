import json
import sys

import pytest
from allennlp.commands import main
from allennlp.commands.train import train_model_from_file
from allennlp.common.checks import ConfigurationError
from allennlp.interpret.saliency_interpreters import SimpleGradient
from allennlp.models import load_archive
from allennlp.predictors import Predictor

from spigot_allennlp.data.dataset_readers import SentimentReader
from spigot_allennlp.data.sdp import read_sdp
from spigot_allennlp.data.sentiment import read_sentiment
from spigot_allennlp.framework.bad_input.command import Command
from spigot_allennlp.predictors import SentimentPredictor
from spigot_allennlp.predictors.tasks import OneTaskReader
from tests import FIXTURES_ROOT

SENTENCE = {
    "tokens": ["A", "lovely", "film", "."],
    "tags": ["DT", "JJ", "NN", "."],
    "lemmas": ["a", "lovely", "film", "."],
}


@pytest.fixture(scope="module")
def archive_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sentiment")
    train_model_from_file(FIXTURES_ROOT / "semantic_then_sentiment.jsonnet", folder / "output")
    return folder / "output" / "model.tar.gz"


@pytest.fixture(scope="module")
def predictor(archive_file):
    return Predictor.from_path(str(archive_file))


def test_the_default_predictor(predictor):
    assert isinstance(predictor, SentimentPredictor)


def test_label_probabilities_and_graph(predictor):
    output = predictor.predict_json(SENTENCE)
    assert output.keys() == {*SENTENCE, "sentence_id", "label", "logits", "probabilities", "arcs", "tops"}
    assert output["probabilities"].keys() == {"0", "1"}
    assert sum(output["probabilities"].values()) == pytest.approx(1)
    assert output["label"] == max(output["probabilities"], key=output["probabilities"].get)
    assert json.loads(json.dumps(output)) == output


def test_a_batch_is_what_its_sentences_are(predictor):
    other = {key: value[:2] for key, value in SENTENCE.items()}
    together = predictor.predict_batch_json([SENTENCE, other])
    assert [len(output["tokens"]) for output in together] == [4, 2]
    for output, sentence in zip(together, (SENTENCE, other), strict=True):
        assert output["logits"] == pytest.approx(predictor.predict_json(sentence)["logits"], abs=1e-5)


def test_the_graph_alone_in_sdp(archive_file, tmp_path):
    predictor = Predictor.from_path(str(archive_file), output_format="sdp")
    (tmp_path / "out.sdp").write_text(predictor.dump_line(predictor.predict_json(SENTENCE)))
    (sentence,) = read_sdp(tmp_path / "out.sdp")
    assert sentence.forms == SENTENCE["tokens"]


class TestFiles:
    """`allennlp predict --use-dataset-reader` of an archive whose reader reads several tasks."""

    @pytest.fixture
    def predict(self, archive_file, tmp_path, monkeypatch):
        def predict(data, *options):
            output = tmp_path / "out.jsonl"
            arguments = [
                *options,
                "--use-dataset-reader",
                "--output-file",
                str(output),
                "--silent",
                "--batch-size",
                "16",
            ]
            monkeypatch.setattr(
                "sys.argv", ["allennlp", "predict", str(archive_file), str(FIXTURES_ROOT / data), *arguments]
            )
            monkeypatch.setattr("spigot_allennlp.predictors.tasks.running_command", lambda: Command(sys.argv[1:]))
            main()
            return [json.loads(line) for line in output.open()]

        return predict

    def test_sentences_with_labels_are_what_it_is_for(self, predict):
        outputs = predict("sentiment/dev.txt")
        sentences = list(read_sentiment(FIXTURES_ROOT / "sentiment" / "dev.txt"))
        assert [output["tokens"] for output in outputs] == [sentence.tokens for sentence in sentences]
        assert {output["label"] for output in outputs} <= {"0", "1"}
        assert predict("sentiment/dev.txt", "--multitask-head", "sentiment") == outputs

    @pytest.mark.parametrize("task", [None, "graphs", "sentiment"])
    def test_graphs_are_written_in_conllu_whatever_reads(self, archive_file, task):
        archive = load_archive(archive_file)
        reader = archive.validation_dataset_reader
        reader = reader if task is None else OneTaskReader(reader, task)
        predictor = SentimentPredictor(archive.model, reader, output_format="conllu")
        assert predictor.dump_line(predictor.predict_json(SENTENCE)).startswith("1\t")
        assert predictor.tagger._unescape_ptb == (task != "graphs")

    def test_another_task_is_read_where_it_is_named(self, predict):
        outputs = predict("toy/toy.sdp", "--multitask-head", "graphs")
        assert outputs[0]["sentence_id"] == "toy-1" and all("arcs" in output for output in outputs)

    def test_a_task_that_there_is_not(self, predict):
        with pytest.raises(ConfigurationError, match="--multitask-head to be one of graphs, sentiment, found x"):
            predict("sentiment/dev.txt", "--multitask-head", "x")


def test_a_model_without_a_parser_has_no_graph(archive_file):
    predictor = Predictor.from_path(str(archive_file))
    predictor._model.semantic_parser = predictor._model.intermediate = None
    assert "arcs" not in predictor.predict_json(SENTENCE)
    with pytest.raises(ConfigurationError, match="output_format must be one of json for this model"):
        SentimentPredictor(predictor._model, predictor._dataset_reader, output_format="sdp")


def test_brackets_are_the_words_of_a_reader_that_unescapes(predictor):
    reader = SentimentReader(token_indexers=predictor._dataset_reader.inner._token_indexers)
    escaped = {
        "tokens": ["-LRB-", "fun", "-RRB-"],
        "tags": ["-LRB-", "NN", "-RRB-"],
        "lemmas": ["-lrb-", "fun", "-rrb-"],
    }
    plain = {**escaped, "tokens": ["(", "fun", ")"], "lemmas": ["(", "fun", ")"]}
    instances = [SentimentPredictor(predictor._model, reader)._json_to_instance(s) for s in (escaped, plain)]
    assert instances[0]["tokens"] == instances[1]["tokens"]
    assert SentimentPredictor(predictor._model, reader).predict_json(escaped)["tokens"] == escaped["tokens"]


def test_each_word_has_a_share_in_the_label(predictor):
    (instance,) = SimpleGradient(predictor).saliency_interpret_from_json(SENTENCE).values()
    (shares,) = instance.values()
    assert len(shares) == 5 and sum(shares) == pytest.approx(1)
    assert predictor.get_interpretable_text_field_embedder() is predictor._model.text_field_embedder
    (labelled,) = predictor.json_to_labeled_instances(SENTENCE)
    assert labelled["label"].label == predictor.predict_json(SENTENCE)["label"]
