"""What a predictor tells beside the best structure."""

import json

import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.models import load_archive
from allennlp.predictors import Predictor

from spigot_allennlp.data.conll import parse_conll
from spigot_allennlp.models.extras import Extras
from spigot_allennlp.predictors import ParserPredictor
from spigot_allennlp.structures import Matching

SENTENCE = {"tokens": ["Anna", "wants", "to"], "tags": ["NNP", "VBZ", "TO"], "lemmas": ["Anna", "want", "to"]}
SHORT = {key: values[:2] for key, values in SENTENCE.items()}


@pytest.fixture(scope="module")
def archive(parser_archive):
    return load_archive(parser_archive)


@pytest.fixture
def predictor(archive):
    def build(**settings):
        return ParserPredictor(archive.model, archive.validation_dataset_reader, **settings)

    return build


def test_probabilities_of_every_part(predictor):
    long, short = predictor(scores=True).predict_batch_json([SENTENCE, SHORT])
    assert {key: long[key] for key in ("heads", "arcs")} == {
        key: predictor().predict_json(SENTENCE)[key] for key in ("heads", "arcs")
    }
    for output, size in ((long, 3), (short, 2)):
        for name, length in (
            ("head_probabilities", size),
            ("head_tag_probabilities", size),
            ("arc_probabilities", len(output["arcs"])),
            ("top_probabilities", len(output["tops"])),
        ):
            assert len(output[name]) == length and all(0 < p <= 1 for p in output[name])
        assert 0 < output["tree_probability"] <= min(output["head_probabilities"])
        assert 0 < output["graph_probability"] <= 1
    assert long["tree_probability"] == predictor(scores=True).predict_json(SENTENCE)["tree_probability"]
    json.dumps(long)


def test_they_are_those_of_the_distribution(predictor, archive):
    parsing = predictor(scores=True)
    output = parsing.predict_json(SHORT)
    model = archive.model
    instance = parsing._json_to_instance(SHORT)
    parsing._dataset_reader.apply_token_indexers(instance)
    from allennlp.data import Batch

    batch = Batch([instance])
    batch.index_instances(model.vocab)
    tokens = batch.as_tensor_dict()["tokens"]
    with torch.no_grad():
        scores = model.syntactic_parser.structure_scores(tokens)[0]
    # The two trees of two tokens with a single root: 2 <- 1 and 1 <- 2.
    first = (scores[1, 0] + scores[2, 1] - scores[2, 0] - scores[1, 2]).sigmoid().item()
    expected = {(0, 1): first, (2, 0): 1 - first}[tuple(output["heads"])]
    assert output["tree_probability"] == pytest.approx(expected, rel=1e-3)
    assert output["head_probabilities"] == pytest.approx([expected] * 2, rel=1e-3)
    with torch.no_grad():
        encoded, mask = model.syntactic_parser.encode(tokens)
        tree = model.syntactic_parser.structure.argmax(scores[None], mask)
        parser = model.semantic_parser
        if not model._shares_encoder:
            encoded, _ = parser.encode(tokens)
        part_scores = parser.part_scores(parser.score(encoded, tree))
        best = parser.structure.argmax(part_scores, mask)
        expected = parser.structure.log_prob(best, part_scores, mask).exp().item()
    assert output["graph_probability"] == pytest.approx(expected, rel=1e-3)


def test_alternatives_and_samples(predictor):
    output = predictor(top_k=5, samples=7).predict_batch_json([SENTENCE, SHORT])
    for sentence, num_trees in zip(output, (5, 2), strict=True):  # of two tokens there are no more
        trees = sentence["tree_alternatives"]
        assert len(trees) == num_trees == len({tuple(tree["heads"]) for tree in trees})
        assert (trees[0]["heads"], trees[0]["head_tags"]) == (sentence["heads"], sentence["head_tags"])
        totals = [tree["score"] for tree in trees]
        assert totals == sorted(totals, reverse=True)
        assert sum(tree["probability"] for tree in trees) <= 1.001
        graphs = sentence["graph_alternatives"]
        assert len(graphs) == 5 and graphs[0].keys() == {"arcs", "tops", "score", "probability"}
        assert (graphs[0]["arcs"], graphs[0]["tops"]) == (sentence["arcs"], sentence["tops"])
        for name, keys in (("tree_samples", {"heads", "head_tags"}), ("graph_samples", {"arcs", "tops"})):
            assert len(sentence[name]) == 7
            assert all(sample.keys() == keys | {"probability"} for sample in sentence[name])
    assert sum(tree["probability"] for tree in output[1]["tree_alternatives"]) == pytest.approx(1, abs=1e-3)
    assert predictor(samples=7).predict_json(SENTENCE) == predictor(samples=7).predict_json(SENTENCE)
    json.dumps(output)


def test_the_next_predictor_is_asked_for_nothing(predictor):
    predictor(scores=True, top_k=2)
    output = predictor().predict_json(SENTENCE)
    assert output.keys() == {*SENTENCE, "sentence_id", "heads", "head_tags", "arcs", "tops"}


def test_misc_of_conllu(predictor):
    parsing = predictor(scores=True, output_format="conllu")
    output = parsing.predict_json(SENTENCE)
    (sentence,) = parse_conll(parsing.dump_line(output).splitlines())
    for word, head, tag in zip(
        sentence.words, output["head_probabilities"], output["head_tag_probabilities"], strict=True
    ):
        # After what the graph has there.
        assert word["misc"].split("|")[-2:] == [f"HeadProb={head}", f"DeprelProb={tag}"]
    parsing = predictor(output_format="conllu")
    (sentence,) = parse_conll(parsing.dump_line(parsing.predict_json(SENTENCE)).splitlines())
    assert not any("Prob=" in word["misc"] for word in sentence.words)


def test_what_cannot_be_told_is_refused(predictor, parser_archive):
    with pytest.raises(ConfigurationError, match="top_k must be a whole number of at least 0, but is -1"):
        predictor(top_k=-1)
    with pytest.raises(ConfigurationError, match="scores needs marginals, and matching has none"):
        Extras(probabilities=True).check(Matching())
    output = Predictor.from_path(parser_archive, scores=True).predict_json(SENTENCE)
    assert "tree_probability" in output
