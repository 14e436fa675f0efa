"""Frames that a parser predicts, in each format of output."""

import json

import pytest
import torch
from allennlp.commands.evaluate import evaluate_from_archive
from allennlp.commands.train import train_model_from_file
from allennlp.models import load_archive

from spigot_allennlp.data.conll import parse_conll
from spigot_allennlp.data.conll_graph import parse_misc
from spigot_allennlp.data.sdp import format_sdp, parse_sdp, read_sdp
from spigot_allennlp.predictors import ParserPredictor
from tests import FIXTURES_ROOT

TOY = FIXTURES_ROOT / "toy" / "toy.sdp"
SENTENCE = {"tokens": ["Anna", "leaves"], "tags": ["NNP", "VBZ"], "lemmas": ["Anna", "leave"]}


@pytest.fixture(scope="module")
def archive_file(tmp_path_factory):
    """A pipeline after an epoch on the toy."""
    overrides = {"dataset_reader.frames": True, "model.semantic_parser.frames": {}}
    output = tmp_path_factory.mktemp("frames") / "output"
    train_model_from_file(FIXTURES_ROOT / "syntactic_then_semantic.jsonnet", output, overrides=json.dumps(overrides))
    return output / "model.tar.gz"


@pytest.fixture(scope="module")
def predictor(archive_file):
    """Every token has a frame, the best one that its lemma may have."""

    def build(**settings):
        archive = load_archive(archive_file)
        torch.nn.init.constant_(archive.model.semantic_parser.frames.projection.bias, 9.0)
        return ParserPredictor(archive.model, archive.validation_dataset_reader, **settings)

    return build


def test_json_has_a_frame_for_each_token(predictor):
    parsing = predictor()
    output = parsing.predict_json(SENTENCE)
    assert output["frames"][0] in ("anna.01", "anna.02") and output["frames"][1] in ("leave.01", "leave.02")
    assert json.loads(parsing.dump_line(output))["frames"] == output["frames"]
    parsing._model.semantic_parser.frames.projection.bias.data.fill_(-9.0)
    assert parsing.predict_json(SENTENCE)["frames"] == ["_", "_"]


def test_how_probable_they_are(predictor):
    output = predictor(scores=True).predict_json(SENTENCE)
    assert len(output["frame_probabilities"]) == 2
    assert all(0.5 <= probability <= 1 for probability in output["frame_probabilities"])
    assert "frame_probabilities" not in predictor().predict_json(SENTENCE)


def test_a_file_goes_out_again_with_predicted_frames(predictor, tmp_path):
    """What the input has in the column of frames makes no difference."""
    path = tmp_path / "toy.sdp"
    sentences = list(read_sdp(TOY))
    gold = [sentence.frames for sentence in sentences]
    for sentence in sentences:
        sentence.frames = ["x.99"] * len(sentence.forms)
    path.write_text("".join(map(format_sdp, sentences)), encoding="utf-8")
    path.with_suffix(".conllu").write_text(TOY.with_suffix(".conllu").read_text(encoding="utf-8"), encoding="utf-8")
    parsing = predictor(output_format="sdp")
    outputs = parsing.predict_batch_instance(list(parsing._dataset_reader.read(path)))
    lines = "".join(map(parsing.dump_line, outputs))
    predicted = [sentence.frames for sentence in parse_sdp(lines.split("\n"))]
    assert predicted == [output["frames"] for output in outputs]
    pairs = [pair for both in zip(predicted, gold, strict=True) for pair in zip(*both, strict=True)]
    # Of all lemmas that have a frame in training data, but `leave`, there is one.
    known = [(one, other) for one, other in pairs if other != "_" and not other.startswith("leave")]
    assert len(known) > 8 and all(one == other for one, other in known)


@pytest.mark.parametrize("output_format", ["conllu", "mrp"])
def test_other_formats_have_them_too(predictor, output_format):
    parsing = predictor(output_format=output_format)
    output = parsing.predict_json(SENTENCE)
    line = parsing.dump_line({**output, "tops": [2]})
    if output_format == "conllu":
        (sentence,) = parse_conll(line.split("\n"))
        assert parse_misc([word["misc"] for word in sentence.words])[0]["frames"] == output["frames"]
    else:
        graph = json.loads(line)
        properties = {node["id"]: dict(zip(node["properties"], node["values"], strict=True)) for node in graph["nodes"]}
        assert properties[1]["frame"] == output["frames"][1]


def test_evaluate_has_their_figures(archive_file, tmp_path):
    """All lemmas of the data have one frame, but one has two."""
    metrics = evaluate_from_archive(str(archive_file), str(TOY), metrics_output_file=str(tmp_path / "metrics.json"))
    assert 0.8 < metrics["frame_accuracy"] <= 1
    assert 0 <= metrics["frame_f1"] <= 1
