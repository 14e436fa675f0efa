import json

import pytest
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.models import load_archive
from allennlp.predictors import Predictor

from spigot_allennlp.data.conll import format_conll, parse_conll, read_conll
from spigot_allennlp.data.conll_graph import format_deps, parse_misc
from spigot_allennlp.data.sdp import parse_sdp, read_sdp
from spigot_allennlp.models import SemanticParser
from spigot_allennlp.predictors import ParserPredictor
from tests import FIXTURES_ROOT

TOY = FIXTURES_ROOT / "toy" / "toy.sdp"

SENTENCE = {
    "tokens": ["Anna", "wants", "to", "sing"],
    "tags": ["NNP", "VBZ", "TO", "VB"],
    "lemmas": ["Anna", "want", "to", "sing"],
}


def test_the_model_names_its_predictor(parser_archive):
    assert isinstance(Predictor.from_path(parser_archive), ParserPredictor)


def test_output(parser_archive):
    output = Predictor.from_path(parser_archive).predict_json(SENTENCE)
    assert output.keys() == {"tokens", "tags", "lemmas", "sentence_id", "heads", "head_tags", "arcs", "tops"}
    assert output["tokens"] == SENTENCE["tokens"]
    assert len(output["heads"]) == len(output["head_tags"]) == 4


def test_a_parser_without_a_tree_writes_its_graph_in_conllu(parser_archive):
    archive = load_archive(parser_archive)
    reader = archive.validation_dataset_reader
    assert isinstance(archive.model.semantic_parser, SemanticParser)
    for model in (archive.model.semantic_parser, archive.model.syntactic_parser):
        ParserPredictor(model, reader, output_format="conllu")
    predictor = ParserPredictor(archive.model, reader, output_format="conllu")
    output = predictor.predict_json(SENTENCE)
    del output["heads"]
    (sentence,) = parse_conll(predictor.dump_line(output).splitlines())
    assert sentence.heads is None
    found, _ = parse_misc([word["misc"] for word in sentence.words])
    assert [list(arc) for arc in found.get("arcs", [])] == sorted(output["arcs"])
    assert found.get("tops", []) == output["tops"]


@pytest.mark.parametrize("output_format", ["conllu", "sdp", "mrp"])
def test_a_file_goes_out_again_with_what_is_predicted(parser_archive, tmp_path, output_format):
    """Of what is not predicted nothing is changed."""
    predictor = Predictor.from_path(parser_archive, output_format=output_format)
    outputs = predictor.predict_batch_instance(list(predictor._dataset_reader.read(TOY)))
    assert all("source" not in output for output in outputs)
    text = "".join(map(predictor.dump_line, outputs))
    if output_format == "mrp":
        assert [json.loads(line)["id"] for line in text.splitlines()] == [f"toy-{n}" for n in range(1, 11)]
    elif output_format == "sdp":
        gold, written = read_sdp(TOY), parse_sdp(text.splitlines())
        for one, other in zip(gold, written, strict=True):
            assert (one.forms, one.frames, one.comments) == (other.forms, other.frames, other.comments)
    else:
        gold, written = read_conll(TOY.with_suffix(".conllu")), parse_conll(text.splitlines())
        for one, other, output in zip(gold, written, outputs, strict=True):
            for word, head, deprel in zip(one.words, output["heads"], output["head_tags"], strict=True):
                word["head"], word["deprel"] = head, deprel
            for row in other.rows:
                row["misc"] = parse_misc([row["misc"]])[1][0]
            assert format_conll(one) == format_conll(other)


def test_enhanced_dependencies_are_learnt_and_predicted_into_deps(tmp_path):
    path = tmp_path / "enhanced.conllu"
    path.write_text("".join(format_conll(_enhance(sentence)) for sentence in read_conll(TOY.with_suffix(".conllu"))))
    params = Params.from_file(FIXTURES_ROOT / "semantic_parser.jsonnet").as_dict(quiet=True)
    params |= {"train_data_path": str(path), "validation_data_path": str(path)}
    params["dataset_reader"] = {"type": "spigot_conllu", "graphs": "deps"}
    train_model(Params(params), tmp_path / "output")
    predictor = Predictor.from_path(tmp_path / "output" / "model.tar.gz", output_format="conllu")
    for instance, gold in zip(predictor._dataset_reader.read(path), read_conll(path), strict=True):
        output = predictor.predict_instance(instance)
        (written,) = parse_conll(predictor.dump_line(output).split("\n"))
        assert [word["deps"] for word in written.words] == format_deps(output["arcs"], output["tops"], len(gold.words))
        for row in [*gold.rows, *written.rows]:
            row["deps"] = "_"
        assert format_conll(gold) == format_conll(written)


def _enhance(sentence):
    for word in sentence.words:
        word["deps"] = f"{word['head']}:{word['deprel'] if word['head'] else 'root'}"
    return sentence
