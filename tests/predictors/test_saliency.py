"""The framework's interpreters, which ask a predictor for its predictions as gold."""

import pytest
from allennlp.interpret.saliency_interpreters import SimpleGradient
from allennlp.models import load_archive

from spigot_allennlp.data.dataset_readers import TOP
from spigot_allennlp.predictors import ParserPredictor

SENTENCE = {"tokens": ["Anna", "wants", "to"], "tags": ["NNP", "VBZ", "TO"], "lemmas": ["Anna", "want", "to"]}


@pytest.fixture(scope="module")
def archive(parser_archive):
    return load_archive(parser_archive)


@pytest.fixture(params=["pipeline", "tree"])
def predictor(request, archive):
    model = archive.model if request.param == "pipeline" else archive.model.syntactic_parser
    return ParserPredictor(model, archive.validation_dataset_reader)


def test_each_word_has_a_share(predictor):
    before = [parameter.requires_grad for parameter in predictor._model.parameters()]
    shares = SimpleGradient(predictor).saliency_interpret_from_json(SENTENCE)
    has_tree_alone = not hasattr(predictor._model, "semantic_parser")
    assert list(shares) == [f"instance_{i + 1}" for i in range(3 if has_tree_alone else 1)]
    for instance in shares.values():
        # Each stage of the pipeline reads the embeddings.
        assert len(instance) == (1 if has_tree_alone else 2)
        for share in instance.values():
            assert len(share) == 4  # with ROOT
            assert sum(share) == pytest.approx(1) and all(number >= 0 for number in share)
    assert [parameter.requires_grad for parameter in predictor._model.parameters()] == before


def test_of_a_tree_each_arc_is_gold_alone(archive):
    predictor = ParserPredictor(archive.model.syntactic_parser, archive.validation_dataset_reader)
    output = predictor.predict_json(SENTENCE)
    instances = predictor.json_to_labeled_instances(SENTENCE)
    assert [instance["tree"].indices for instance in instances] == [
        [(token, head)] for token, head in enumerate(output["heads"], start=1)
    ]
    assert [instance["tree"].labels for instance in instances] == [[label] for label in output["head_tags"]]


def test_of_a_pipeline_graph_and_tree_are_gold(archive):
    predictor = ParserPredictor(archive.model, archive.validation_dataset_reader)
    output = predictor.predict_json(SENTENCE)
    (instance,) = predictor.json_to_labeled_instances(SENTENCE)
    assert [head for _, head in instance["tree"].indices] == output["heads"]
    arcs = [[*cell, label] for cell, label in zip(instance["graph"].indices, instance["graph"].labels, strict=True)]
    assert arcs == [[0, top, TOP] for top in output["tops"]] + output["arcs"]
