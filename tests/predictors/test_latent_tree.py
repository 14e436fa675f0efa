"""Pairs of sentences as JSON."""

import json

import pytest
import torch
from allennlp.common import Params
from allennlp.data import Vocabulary
from allennlp.models import Model

from spigot_allennlp.data.conll import parse_conll
from spigot_allennlp.data.dataset_readers import SentimentReader
from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.predictors import LatentTreePredictor
from spigot_allennlp.server.answerer import Answerer, Asked
from spigot_allennlp.server.limits import Limits
from tests import FIXTURES_ROOT

PAIR = {"premise": ["a", "dog", "runs"], "hypothesis": "it moves"}


class WordsAsTags:
    """In place of spaCy."""

    def sentence(self, text, max_tokens):
        return self.tag(text.split())._replace(text=text)

    def tag(self, tokens):
        return TaggedSentence(list(tokens), list(tokens), list(tokens))


@pytest.fixture(params=[True, False], ids=["pair", "sentence"])
def predictor(request):
    reader = SentimentReader()
    words = TaggedSentence(*[["a", "dog", "runs", "it", "moves"]] * 3)
    hypothesis = words if request.param else None
    instances = [reader.text_to_instance(*words[:3], label, hypothesis=hypothesis) for label in ("yes", "no")]
    for instance in instances:
        reader.apply_token_indexers(instance)
    params = Params.from_file(FIXTURES_ROOT / "latent_tree_classifier.jsonnet")["model"]
    torch.manual_seed(0)
    model = Model.from_params(vocab=Vocabulary.from_instances(instances), params=params, is_pair=request.param)
    predictor = LatentTreePredictor(model, reader, keep_keys=["source"])
    predictor.tagger = WordsAsTags()
    return predictor


@pytest.mark.parametrize("predictor", [True], indirect=True)
def test_a_pair_is_what_its_file_is(predictor):
    output = predictor.predict_json({**PAIR, "id": 7, "source": "x"})
    assert (output["tokens"], output["hypothesis_tokens"]) == (["a", "dog", "runs"], ["it", "moves"])
    assert (len(output["heads"]), len(output["hypothesis_heads"])) == (3, 2)
    assert (output["id"], output["sentence_id"], output["source"]) == (7, "7", "x")
    json.dumps(output)
    words = [PAIR["premise"]] * 3
    hypothesis = TaggedSentence(*[["it", "moves"]] * 3)
    instance = predictor._dataset_reader.text_to_instance(*words, hypothesis=hypothesis)
    assert predictor.predict_instance(instance)["logits"] == pytest.approx(output["logits"])
    swapped = predictor.predict_json({"premise": PAIR["hypothesis"], "hypothesis": PAIR["premise"]})
    assert swapped["logits"] != pytest.approx(output["logits"])


def test_a_server_warms_up_and_answers(predictor):
    answerer = Answerer(predictor, Limits(max_tokens_per_sentence=6))
    answerer.warm_up()
    for asked in map(Asked, predictor.examples):
        (answer,) = answerer.answer([asked])
        if predictor._model.is_pair:
            asked = Asked({**asked.json_dict, "hypothesis": ["far", "too", "long"]})
        else:
            asked = Asked({"tokens": ["too"] * 7})
        (refused,) = answerer.answer([asked])
        assert answer.status == 200 and "label" in json.loads(answer.content)
        assert refused.status == 422 and "at most 6 tokens in a sentence" in refused.content


@pytest.mark.parametrize("predictor", [True], indirect=True)
def test_conllu_has_the_tree_of_the_premise(predictor):
    predictor._output_format = "conllu"
    output = predictor.predict_json(PAIR)
    (sentence,) = parse_conll(predictor.dump_line(output).split("\n"))
    assert sentence.heads == output["heads"] and sentence.forms == PAIR["premise"]


@pytest.mark.parametrize("predictor", [True], indirect=True)
@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"sentence": "it moves"}, "expected 'premise' and 'hypothesis', found"),
        ({"premise": "it moves"}, "expected 'premise' and 'hypothesis', found"),
        ({**PAIR, "label": "yes"}, 'expected no other keys than premise, hypothesis, id, source, found "label"'),
        ({**PAIR, "premise": []}, "'premise' must not be empty"),
        ({**PAIR, "premise": ["a", 1]}, "'premise' must be a list of strings"),
        ({**PAIR, "hypothesis": None}, "'hypothesis' must be a string"),
        ({**PAIR, "id": " x"}, "'id' must not be empty"),
    ],
)
def test_what_is_no_pair_is_refused(predictor, wrong, message):
    with pytest.raises(ValueError, match=message):
        predictor.predict_json(wrong)


@pytest.mark.parametrize("predictor", [True], indirect=True)
def test_a_bad_line_costs_no_other(predictor):
    predictor._on_error = "skip"
    lines = [json.dumps(PAIR), '{"premise": "it moves"}', json.dumps(PAIR)]
    first, second, third = predictor.predict_batch_json(list(map(predictor.load_line, lines)))
    assert first["logits"] == third["logits"]
    assert second["line"] == 2 and "expected 'premise' and 'hypothesis'" in second["error"]


@pytest.mark.parametrize("predictor", [False], indirect=True)
def test_a_model_of_single_sentences_takes_no_pairs(predictor):
    assert len(predictor.predict_json({"sentence": "it moves"})["heads"]) == 2
    with pytest.raises(ValueError, match="expected one of 'sentence', 'text' and 'tokens'"):
        predictor.predict_json(PAIR)
