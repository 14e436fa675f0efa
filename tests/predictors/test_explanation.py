"""What single sentences ask to be told."""

import math
from types import SimpleNamespace

import pytest
from allennlp.predictors import Predictor

from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.predictors import ParserPredictor, explanation
from spigot_allennlp.predictors.explanation import MAX_TOKENS_OF_SALIENCY, add_saliency

SENTENCE = {"tokens": ["Anna", "wants", "to"], "tags": ["NNP", "VBZ", "TO"], "lemmas": ["Anna", "want", "to"]}
SCORES = {"head_probabilities", "head_tag_probabilities", "next_heads", "next_head_probabilities", "tree_probability"}
SCORES |= {"arc_probabilities", "top_probabilities", "graph_probability"}


@pytest.fixture(scope="module")
def predictor(parser_archive):
    return Predictor.from_path(parser_archive)


def test_each_sentence_has_what_it_asks_for_and_the_order_stays(predictor):
    plain = predictor.predict_json(SENTENCE)
    asked = [[], ["scores"], ["arc_weights"], [], ["scores", "arc_weights"]]
    outputs = predictor.predict_batch_json([{**SENTENCE, "id": i, "explain": one} for i, one in enumerate(asked)])
    assert [output.pop("id") for output in outputs] == [0, 1, 2, 3, 4]
    more = [set(output) - set(plain) for output in outputs]
    assert more == [set(), SCORES, {"arc_weights"}, set(), SCORES | {"arc_weights"}]
    assert all(output["heads"] == plain["heads"] and output["arcs"] == plain["arcs"] for output in outputs)
    assert predictor.predict_json(SENTENCE) == plain  # and nothing stays behind


def test_the_next_head_is_another_one_and_less_probable(predictor):
    output = predictor.predict_json({**SENTENCE, "explain": ["scores"]})
    for token, (head, other) in enumerate(zip(output["heads"], output["next_heads"], strict=True), start=1):
        assert other not in (head, token) and 0 <= other <= 3
    pairs = zip(output["head_probabilities"], output["next_head_probabilities"], strict=True)
    assert all(0 < other < 1 and first + other <= 1.001 for first, other in pairs)


def test_where_one_head_is_possible_there_is_no_next(predictor):
    output = predictor.predict_json({"tokens": ["Go"], "tags": ["VB"], "lemmas": ["go"], "explain": ["scores"]})
    assert (output["heads"], output["next_heads"], output["next_head_probabilities"]) == ([0], [-1], [0.0])
    kept = {**SENTENCE, "heads": [2, 0, 2], "explain": ["scores"]}
    assert predictor.predict_json(kept)["next_heads"] == [-1] * 3


def test_shares_of_the_words(predictor):
    (shares,) = predictor.predict_json({**SENTENCE, "explain": ["saliency"]})["saliency"]
    assert len(shares) == 3 and all(share >= 0 for share in shares) and 0 < sum(shares) <= 1.001
    constrained = {**SENTENCE, "heads": [3, None, None], "forbidden_arcs": [[2, 1]], "explain": ["saliency"]}
    assert len(predictor.predict_json(constrained)["saliency"]) == 1


def test_of_a_tree_each_arc_has_its_own(predictor):
    parser = ParserPredictor(predictor._model.syntactic_parser, predictor._dataset_reader)
    assert [len(shares) for shares in parser.predict_json({**SENTENCE, "explain": ["saliency"]})["saliency"]] == [3] * 3


def test_a_sentence_that_is_too_long_for_shares_costs_no_other(predictor):
    length = MAX_TOKENS_OF_SALIENCY + 1
    long = {"tokens": ["a"] * length, "tags": ["X"] * length, "lemmas": ["a"] * length, "explain": ["saliency"]}
    with pytest.raises(ValueError, match=f"at most {length - 1} tokens for saliency, found {length}"):
        predictor.predict_batch_json([SENTENCE, long])


@pytest.mark.parametrize("explain", ["scores", ["everything"], None])
def test_what_is_not_known_is_refused(predictor, explain):
    with pytest.raises(ValueError, match="'explain' must be a list of some of scores, arc_weights, saliency, found"):
        predictor.predict_json({**SENTENCE, "explain": explain})


def test_without_a_gradient_no_token_counts(monkeypatch):
    found = {"instance_1": {"grad_input_1": [math.nan, math.nan]}}
    gradient = SimpleNamespace(saliency_interpret_from_json=lambda known: found)
    monkeypatch.setattr(explanation, "SimpleGradient", lambda predictor: gradient)
    assert add_saliency(None, TaggedSentence(["a"], ["X"], ["a"]), {}) == {"saliency": [[0.0]]}
