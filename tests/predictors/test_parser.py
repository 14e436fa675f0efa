import json

import pytest
from allennlp.commands import main
from allennlp.commands.train import train_model_from_file
from allennlp.common.checks import ConfigurationError
from allennlp.models import load_archive
from allennlp.predictors import Predictor

from spigot_allennlp.data.sdp import HEADER, read_sdp
from spigot_allennlp.predictors import ParserPredictor
from tests import FIXTURES_ROOT

SENTENCE = {
    "tokens": ["Anna", "wants", "to", "sing"],
    "tags": ["NNP", "VBZ", "TO", "VB"],
    "lemmas": ["Anna", "want", "to", "sing"],
}
TOY = FIXTURES_ROOT / "toy" / "toy.sdp"


@pytest.fixture(scope="module")
def archive_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    overrides = {"model.syntactic_parser.label_feedforward": {"num_layers": 1, "hidden_dims": 4, "activations": "relu"}}
    train_model_from_file(
        FIXTURES_ROOT / "syntactic_then_semantic.jsonnet", folder / "output", overrides=json.dumps(overrides)
    )
    return folder / "output" / "model.tar.gz"


@pytest.fixture
def predictor(archive_file):
    return Predictor.from_path(archive_file)


def test_the_model_names_its_predictor(predictor):
    assert isinstance(predictor, ParserPredictor)


def test_json(predictor):
    output = predictor.predict_json(SENTENCE)
    assert output.keys() == {"tokens", "tags", "lemmas", "sentence_id", "heads", "head_tags", "arcs", "tops"}
    assert output["tokens"] == SENTENCE["tokens"]
    assert len(output["heads"]) == len(output["head_tags"]) == 4
    assert json.loads(predictor.dump_line(output)) == output


def test_a_batch_is_what_its_sentences_are_alone(predictor):
    short = {key: values[:2] for key, values in SENTENCE.items()}
    batch = predictor.predict_batch_json([SENTENCE, short, SENTENCE])
    assert batch == [predictor.predict_json(sentence) for sentence in (SENTENCE, short, SENTENCE)]


@pytest.mark.parametrize(
    "broken, message",
    [
        ({}, "'tokens' must be a list of strings"),
        ({"tokens": "Anna wants"}, "'tokens' must be a list of strings"),
        ({**SENTENCE, "tags": [1, 2, 3, 4]}, "'tags' must be a list of strings"),
        ({**SENTENCE, "lemmas": ["Anna"]}, "of one length"),
        ({"tokens": [], "tags": [], "lemmas": []}, "at least 1"),
    ],
)
def test_bad_input_says_what_is_expected(predictor, broken, message):
    with pytest.raises(ValueError, match=message):
        predictor.predict_json(broken)


def test_an_unknown_output_format_is_refused(archive_file):
    archive = load_archive(archive_file)
    with pytest.raises(ConfigurationError, match="output_format must be one of json, sdp"):
        ParserPredictor(archive.model, archive.validation_dataset_reader, output_format="xml")


@pytest.mark.parametrize("output_format", ["json", "sdp"])
def test_the_command_predicts_from_json_lines(archive_file, tmp_path, monkeypatch, output_format):
    source, target = tmp_path / "in.jsonl", tmp_path / "out"
    source.write_text((json.dumps(SENTENCE) + "\n") * 3)
    command = ["allennlp", "predict", str(archive_file), str(source), "--output-file", str(target), "--silent"]
    command += ["--batch-size", "2", "--predictor-args", json.dumps({"output_format": output_format})]
    monkeypatch.setattr("sys.argv", command)
    main()
    if output_format == "json":
        sentences = [json.loads(line)["tokens"] for line in target.read_text().splitlines()]
    else:
        assert target.read_text().count(HEADER) == 1
        sentences = [sentence.forms for sentence in read_sdp(target)]
    assert sentences == [SENTENCE["tokens"]] * 3


def test_the_command_parses_a_file_of_the_training_format_into_one_that_can_be_read(
    archive_file, tmp_path, monkeypatch
):
    target = tmp_path / "out.sdp"
    command = ["allennlp", "predict", str(archive_file), str(TOY), "--output-file", str(target), "--silent"]
    command += ["--use-dataset-reader", "--predictor-args", '{"output_format": "sdp"}', "--batch-size", "4"]
    monkeypatch.setattr("sys.argv", command)
    main()
    predicted, gold = list(read_sdp(target)), list(read_sdp(TOY))
    assert [(s.sentence_id, s.forms, s.lemmas, s.tags) for s in predicted] == [
        (s.sentence_id, s.forms, s.lemmas, s.tags) for s in gold
    ]
    assert all(sentence.heads is not None for sentence in predicted)
