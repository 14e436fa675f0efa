import json

import pytest

from spigot_allennlp.data.dataset_readers import SentimentReader
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.sentiment import read_sentiment

SENTENCES = [
    ({"label": 1, "sentence": "It works."}, {"label": "1", "text": "It works."}),
    ({"label": "yes", "tokens": ["It", "works"]}, {"label": "yes", "tokens": ["It", "works"]}),
    (
        {
            "label": "a",
            "id": 7,
            "tokens": ["It", "works"],
            "tags": ["P", "V"],
            "lemmas": ["it", "work"],
            "heads": [2, 0],
        },
        {"sentence_id": "7", "tags": ["P", "V"], "lemmas": ["it", "work"], "heads": [2, 0]},
    ),
    ({"label": 0, "tokens": ["x"], "latent_class": 2}, {"label": "0", "latent_class": "2"}),
    (
        {"label": "entailment", "premise": "It works.", "hypothesis": ["It", "runs"]},
        {"label": "entailment", "text": "It works.", "hypothesis": ["It", "runs"]},
    ),
]


def read(tmp_path, text: str):
    path = tmp_path / "data.jsonl"
    path.write_text(text, encoding="utf-8")
    return list(read_sentiment(path, "data.jsonl"))


def test_objects(tmp_path):
    found = read(tmp_path, "".join(json.dumps(content) + "\n\n" for content, _ in SENTENCES))
    assert [sentence.line for sentence in found] == [1, 3, 5, 7, 9]
    for sentence, (_, expected) in zip(found, SENTENCES, strict=True):
        assert {key: getattr(sentence, key) for key in expected} == expected


def test_table_of_pairs(tmp_path):
    first, second = read(tmp_path, "neutral\tA dog runs .\tIt is wet .\nentailment\tA dog runs .\tA dog moves .\n")
    assert (first.label, first.text, first.hypothesis) == ("neutral", "A dog runs .", "It is wet .")
    assert second.label == "entailment"
    with pytest.raises(FormatError, match=r"line 2: expected a label, a premise and a hypothesis"):
        read(tmp_path, "neutral\tA dog runs .\tIt is wet .\nentailment\tA dog runs .\n")


def test_names_of_the_columns_of_pairs(tmp_path):
    (pair,) = read(tmp_path, "label\tpremise\thypothesis\nyes\tA dog runs .\tA dog moves .\n")
    assert pair.label == "yes"
    with pytest.raises(FormatError, match="line 1: expected a label, a premise and a hypothesis, in this order"):
        read(tmp_path, "sentence1\tsentence2\tlabel\nA dog .\tA cat .\tyes\n")
    with pytest.raises(FormatError, match="more different values in the first column than in the last"):
        read(tmp_path, "A dog .\tA cat .\tyes\nA cow .\tA cat .\tyes\n")


@pytest.mark.parametrize(
    "first, second, message",
    [
        ({"tokens": ["x"], "heads": [0]}, {"tokens": ["x"]}, "expected heads, as in .*, found no heads$"),
        ({"tokens": ["x"]}, {"premise": ["x"], "hypothesis": ["y"]}, "expected no hypothesis, .* found a hypothesis$"),
        (
            {"tokens": ["x"], "latent_class": 0},
            {"tokens": ["x"], "heads": [0]},
            "expected no heads and a latent class, .* found heads and no latent class$",
        ),
    ],
)
def test_what_some_sentences_have_and_others_not(first, second, message, tmp_path):
    columns = {"tags": ["X"], "lemmas": ["x"]}
    lines = [{"label": 1, **one, **(columns if "tokens" in one else {})} for one in (first, second)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(FormatError, match=f"line 2: {message}"):
        list(SentimentReader().read(tmp_path / "x.jsonl"))


@pytest.mark.parametrize(
    "line, message",
    [
        ('{"label": 1', "expected a JSON object"),
        ('{"label": 1, "sentence": "x", "tag": []}', "expected keys among .* found 'tag'"),
        ('{"sentence": "x"}', "expected a label"),
        ('{"label": true, "sentence": "x"}', "expected a label"),
        ('{"label": 1, "sentence": "x", "latent_class": 0.5}', "expected a latent_class, a string or a whole number"),
        ('{"label": 1}', "expected a sentence, or tokens"),
        ('{"label": 1, "sentence": "x", "tokens": ["x"]}', "expected a sentence, or tokens"),
        ('{"label": 1, "premise": "x"}', "a premise and a hypothesis"),
        ('{"label": 1, "sentence": " "}', "not empty"),
        ('{"label": 1, "sentence": ["x"]}', "expected sentence to be a text"),
        ('{"label": 1, "sentence": "x", "heads": [0]}', "expected tokens beside 'heads'"),
        ('{"label": 1, "tokens": []}', "expected tokens to be a list"),
        ('{"label": 1, "tokens": ["x", 1]}', "expected tokens to be a list"),
        ('{"label": 1, "tokens": ["x", "y"], "tags": ["X"]}', "lists of one length, found '2 tokens', '1 tags'"),
        ('{"label": 1, "tokens": ["x"], "heads": [1]}', "token 1: expected another token as head"),
        ('{"label": 1, "tokens": ["x"], "heads": ["0"]}', "whole numbers"),
    ],
)
def test_refused_with_its_line(line, message, tmp_path):
    with pytest.raises(FormatError, match=rf"data.jsonl, line 2: .*{message}"):
        read(tmp_path, f'{{"label": 1, "sentence": "fine"}}\n{line}\n')
