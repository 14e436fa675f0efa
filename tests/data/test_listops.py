import json

import pytest

from spigot_allennlp.data.dataset_readers import SentimentReader
from spigot_allennlp.data.listops import OPERATIONS, generate, main
from spigot_allennlp.data.trees import find_tree_fault
from tests import FIXTURES_ROOT


def evaluate(tokens: list[str], heads: list[int], position: int) -> int:
    """The value of the part below a position, by its tree alone."""
    token = tokens[position - 1]
    if token not in OPERATIONS:
        return int(token)
    operands = [i for i, head in enumerate(heads, start=1) if head == position and tokens[i - 1] != "]"]
    return OPERATIONS[token]([evaluate(tokens, heads, i) for i in operands])


@pytest.mark.parametrize(
    "name, values, result",
    [
        ("[MIN", [3, 1, 2], 1),
        ("[MAX", [3, 1, 2], 3),
        ("[MED", [9, 1, 5], 5),
        ("[MED", [1, 4], 2),
        ("[SM", [9, 9, 5], 3),
    ],
)
def test_operations(name, values, result):
    assert OPERATIONS[name](values) == result


def test_value_follows_from_the_tree():
    expressions = list(generate(200, max_depth=4, max_length=40, seed=3))
    assert len({tuple(one.tokens) for one in expressions}) == 200
    depths = set()
    for tokens, tags, heads, value in expressions:
        assert find_tree_fault(heads) is None and heads.count(0) == 1 and heads[0] == 0
        assert evaluate(tokens, heads, 1) == value
        assert len(tokens) == len(tags) == len(heads) <= 40
        assert tokens.count("]") == tags.count("OPERATION") == tags.count("CLOSE")
        open_, depth = 0, 0
        for token in tokens:
            open_ += (token in OPERATIONS) - (token == "]")
            depth = max(depth, open_)
        assert not open_
        depths.add(depth)
    assert depths == {1, 2, 3, 4}


def test_same_seed_same_expressions():
    assert list(generate(5, seed=1)) == list(generate(5, seed=1)) != list(generate(5, seed=2))


@pytest.mark.parametrize(
    "settings, message",
    [({"max_length": 3}, "found 0"), ({"max_depth": 0}, "at least 1"), ({"digit_probability": 2}, "probability")],
)
def test_settings_without_expressions(settings, message):
    with pytest.raises(ValueError, match=message):
        list(generate(3, **settings))


def test_command_writes_what_the_reader_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["listops", "4", "--max-depth", "2", "--seed", "5"])
    main()
    out = capsys.readouterr().out
    (tmp_path / "listops.jsonl").write_text(out)
    instances = list(SentimentReader().read(tmp_path / "listops.jsonl"))
    for instance, expression in zip(instances, generate(4, max_depth=2, seed=5), strict=True):
        assert instance["metadata"]["tokens"] == expression.tokens
        assert instance["label"].label == str(expression.value)
        assert dict(instance["tree"].indices) == dict(enumerate(expression.heads, start=1))


def test_fixture_is_what_its_command_gives():
    lines = (FIXTURES_ROOT / "listops" / "train.jsonl").read_text().splitlines()
    lines += (FIXTURES_ROOT / "listops" / "dev.jsonl").read_text().splitlines()
    expressions = generate(600, max_depth=3, max_length=20, seed=1)
    assert [json.loads(line)["tokens"] for line in lines] == [one.tokens for one in expressions]
