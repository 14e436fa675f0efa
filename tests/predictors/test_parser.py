import pytest
from allennlp.common.checks import ConfigurationError
from allennlp.models import load_archive
from allennlp.predictors import Predictor

from spigot_allennlp.models import SemanticParser
from spigot_allennlp.predictors import ParserPredictor

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


def test_a_parser_without_a_tree_writes_no_conllu(parser_archive):
    archive = load_archive(parser_archive)
    reader = archive.validation_dataset_reader
    assert isinstance(archive.model.semantic_parser, SemanticParser)
    ParserPredictor(archive.model.semantic_parser, reader, output_format="sdp")
    for model in (archive.model, archive.model.syntactic_parser):
        ParserPredictor(model, reader, output_format="conllu")
    with pytest.raises(ConfigurationError, match="one of json, sdp for this model, got 'conllu'"):
        ParserPredictor(archive.model.semantic_parser, reader, output_format="conllu")
