"""What is compared is what `allennlp evaluate` gives."""

import json

import pytest
from allennlp.commands.evaluate import evaluate_from_archive
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.comparing.evaluation import Evaluation, evaluate, parse_data
from tests import FIXTURES_ROOT

TOY = str(FIXTURES_ROOT / "toy" / "toy.sdp")
EXPRESSIONS = str(FIXTURES_ROOT / "listops" / "dev.jsonl")
TASKS = {"graphs": TOY, "sentiment": str(FIXTURES_ROOT / "sentiment" / "dev.txt")}


def check(archive, data):
    found = evaluate(archive, data)
    expected = evaluate_from_archive(archive, data if isinstance(data, str) else json.dumps(data))
    expected.pop("loss", None)
    assert found.metrics == expected
    shares = {name: sum(found.right[name]) / max(1, sum(found.total[name])) for name in found.right}
    assert shares == {name: value for name, value in expected.items() if name != "trees_outside"}
    assert len(found.sentences) == len(found.predictions) == len(found.right[min(shares)])
    return found


def test_of_two_parsers(parser_archive):
    found = check(parser_archive, TOY)
    assert {"uas", "las", "uem", "labelled_f1", "unlabelled_without_tops_precision"} <= found.right.keys()
    for i, (gold, predicted) in enumerate(zip(found.sentences, found.predictions, strict=True)):
        assert found.total["uas"][i] == len(gold["tokens"]) == len(gold["heads"]) == len(predicted["heads"])
        assert found.right["uas"][i] == sum(map(int.__eq__, gold["heads"], predicted["heads"]))
        sets = [{*map(tuple, one["arcs"]), *((0, top, "") for top in one["tops"])} for one in (gold, predicted)]
        assert found.right["labelled_f1"][i] == 2 * len(sets[0] & sets[1])
        assert found.total["labelled_f1"][i] == sum(map(len, sets))


def test_of_several_tasks(sentiment_archive):
    found = check(sentiment_archive, TASKS)
    is_labelled = ["label" in gold for gold in found.sentences]
    assert found.total["accuracy"] == list(map(int, is_labelled)) and 0 < sum(is_labelled) < len(is_labelled)
    for gold, predicted, right in zip(found.sentences, found.predictions, found.right["accuracy"], strict=True):
        assert right == ("label" in gold and gold["label"] == predicted["label"])
        assert "arcs" in predicted and ("label" in gold) != ("arcs" in gold)


def test_of_a_latent_tree(latent_archive):
    found = check(latent_archive, EXPRESSIONS)
    assert set(found.right) == {"accuracy", "uas", "uem"}


def test_the_file_of_one_task_is_for_readers_of_several_and_of_that_alone(latent_archive, sentiment_archive):
    assert evaluate(latent_archive, {"sentiment": EXPRESSIONS}) == evaluate(latent_archive, EXPRESSIONS)
    found = evaluate(sentiment_archive, {"sentiment": TASKS["sentiment"]})
    assert found.sentences and all("label" in gold for gold in found.sentences)


def test_it_is_written_and_read_again_unless_the_data_are_others(latent_archive, tmp_path):
    found = evaluate(latent_archive, EXPRESSIONS)
    found.write(tmp_path / "evaluation.json", EXPRESSIONS)
    assert Evaluation.read(tmp_path / "evaluation.json", EXPRESSIONS) == found
    assert Evaluation.read(tmp_path / "evaluation.json", TOY) is None
    assert Evaluation.read(tmp_path / "nowhere.json", TOY) is None


@pytest.mark.parametrize(
    "archive, data, message",
    [
        ("sentiment_archive", TOY, 'a file for each task, {"graphs": "…", "sentiment": "…"}, found .*toy.sdp'),
        ("latent_archive", TASKS, "expected a file, found "),
        ("sentiment_archive", {"labels": TOY}, "expected tasks among graphs, sentiment, found labels"),
    ],
)
def test_data_that_do_not_fit(archive, data, message, request):
    with pytest.raises(ConfigurationError, match=message):
        evaluate(request.getfixturevalue(archive), data)


def test_data_are_a_file_or_several():
    assert parse_data("a.sdp") == "a.sdp" and parse_data("1") == "1"
    assert parse_data('{"graphs": "a.sdp"}') == {"graphs": "a.sdp"}
