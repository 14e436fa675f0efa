import pytest
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.server import query
from spigot_allennlp.server.answerer import Answer
from spigot_allennlp.server.limits import Limits, QueryError
from spigot_allennlp.server.query import ModelError, NoTaggerError, Query

SENTENCE = {"tokens": ["a", "b"], "tags": ["X", "Y"], "lemmas": ["a", "b"]}


@pytest.mark.parametrize(
    "objects, message",
    [
        ([], "at least one object"),
        (["a"], 'expected a JSON object, found "a"'),
        ([SENTENCE] * 4, "at most 3 sentences, found 4"),
        ([{"sentence": "aaaaa " * 3 + "aaa"}], "at most 20 characters of raw text, found 21"),
        ([{"sentence": "aaaaa " * 2}, {"text": "aaaaa aaa"}], "at most 20 characters of raw text, found 21"),
        ([{"tokens": ["a"] * 5}, {"tokens": ["a"] * 4}], "at most 8 tokens, found 9"),
        ([{"text": "a b c d. e f g h i"}], "at most 8 tokens, found 9"),
        ([{"sentence": "a b c d e f g"}], "at most 6 tokens in a sentence, found 7"),
        ([{"tokens": ["a"] * 7}], "at most 6 tokens in a sentence, found 7"),
        ([{"text": "a bcdefg"}], "^expected at most 5 characters in a word of raw text, found 6"),
        ([{"text": "a"}, {"text": "a bcdefg"}], "^at index 1: expected at most 5 characters in a word"),
        ([{"text": "a. b", "explain": ["scores", "saliency"]}], "^expected at most 2 tokens for saliency, found 3"),
        ([SENTENCE, {"tokens": ["a"] * 3, "explain": ["saliency"]}], "^at index 1: expected at most 2 tokens for"),
        ([SENTENCE, SENTENCE, None], "^at index 2: expected a JSON object, found null"),
    ],
)
def test_too_much_is_refused_before_it_is_read(objects, message, monkeypatch):
    monkeypatch.setattr(query, "MAX_TOKENS_OF_SALIENCY", 2)
    with pytest.raises(QueryError, match=message):
        limits = {"max_sentences": 3, "max_characters": 20, "max_characters_per_word": 5, "max_tokens": 8}
        Query(objects, Limits(**limits, max_tokens_per_sentence=6))


def test_sizes_are_about_those_that_the_tagger_will_find():
    objects = [SENTENCE, {"sentence": 'Anna said: "No, I can.", and left.'}, {"text": "!" * 30}, {"id": 1}]
    assert Query(objects, Limits(max_tokens=25)).sizes == [2, 14, 25, 1]


def test_saliency_counts_for_more():
    objects = [{"tokens": ["a"] * num_tokens, "explain": ["saliency"]} for num_tokens in (2, 60)]
    assert Query([*objects, {"tokens": ["a"], "explain": None}], Limits()).sizes == [2, 360, 1]


def test_outputs_are_those_of_the_objects():
    asked = Query([SENTENCE] * 2, Limits())
    assert asked.outputs([Answer(200, "{}"), Answer(200, '{"a":1}')]) == ["{}", '{"a":1}']
    assert [asked.pictures for asked in asked.asked(pictures=True)] == [True, True]


@pytest.mark.parametrize(
    "status, error, message",
    [
        (422, QueryError, "^at index 1: expected another"),
        (501, NoTaggerError, "^expected another"),
        (500, ModelError, "^expected another"),
    ],
)
def test_the_first_answer_that_is_not_good_is_the_error(status, error, message):
    with pytest.raises(error, match=message):
        Query([SENTENCE] * 3, Limits()).outputs([Answer(200, "{}"), Answer(status, "expected another")])


@pytest.mark.parametrize(
    "found, message",
    [({"num_sentences": 2}, "at most 3 sentences, found 4"), ({"num_tokens": 3}, "at most 5 tokens, found 6")],
)
def test_all_objects_together_are_held_to_the_limits(found, message):
    asked = Query([{"text": "a"}] * 2, Limits(max_sentences=3, max_tokens=5))
    with pytest.raises(QueryError, match=f"^expected {message}"):
        asked.outputs([Answer(200, "{}", **found)] * 2)


@pytest.mark.parametrize("name, value", [("max_pending", 0), ("timeout", 0), ("timeout", float("inf"))])
def test_limits_are_positive_and_finite(name, value):
    with pytest.raises(ConfigurationError, match=f"{name} must be a positive number, but is {value}$"):
        Limits(**{name: value})
