import json
from collections import Counter, defaultdict

import pytest

from spigot_allennlp.data.dataset_readers import SentimentReader
from spigot_allennlp.data.latent_class import format_object, generate, main


def signs(example):
    return [1 if token.endswith("+") else -1 for token in example.tokens]


def test_features_of_a_class_are_around_its_centre():
    found = defaultdict(list)
    for example in generate(3000, num_features=20, flip_probability=0.2, seed=1):
        assert [token[:-1] for token in example.tokens] == [f"f{number}" for number in range(1, 21)]
        found[example.latent_class].append(signs(example))
    assert found.keys() == {0, 1, 2} and all(900 < len(examples) < 1100 for examples in found.values())
    for examples in found.values():
        for column in zip(*examples, strict=True):
            shares = Counter(column)
            assert min(shares.values()) / len(column) == pytest.approx(0.2, abs=0.05)
    assert len(set(map(centre, found.values()))) == 3


def centre(examples):
    return tuple(Counter(column).most_common(1)[0][0] for column in zip(*examples, strict=True))


def test_a_label_is_linear_within_a_class_and_not_without():
    """By a perceptron, which ends with no mistakes where there is a plane between the labels."""
    examples = list(generate(400, num_features=8, flip_probability=0.3, seed=2))
    for latent_class in range(3):
        one = [example for example in examples if example.latent_class == latent_class]
        assert 0.3 < sum(example.label for example in one) / len(one) < 0.7
        assert mistakes(one) == 0
    assert mistakes(examples) > 20


def mistakes(examples, epochs=300):
    weights = [0.0] * (len(examples[0].tokens) + 1)
    for _ in range(epochs):
        count = 0
        for example in examples:
            features = [*signs(example), 1]
            gold = 2 * example.label - 1
            if gold * sum(w * x for w, x in zip(weights, features, strict=True)) <= 0:
                weights = [w + gold * x for w, x in zip(weights, features, strict=True)]
                count += 1
        if not count:
            break
    return count


def test_training_and_development_data_are_of_one_task():
    first, again, other_seed, other_task = (
        list(generate(300, seed=seed, task_seed=task)) for seed, task in ((1, 0), (1, 0), (2, 0), (1, 1))
    )
    assert first == again != other_seed
    assert centre_of_the_first_class(first) == centre_of_the_first_class(other_seed)
    assert centre_of_the_first_class(first) != centre_of_the_first_class(other_task)


def centre_of_the_first_class(examples):
    return centre([signs(example) for example in examples if example.latent_class == 0])


@pytest.mark.parametrize("settings", [{"count": 0}, {"num_classes": 0}, {"num_features": 0}, {"flip_probability": 0.0}])
def test_settings_without_examples(settings):
    with pytest.raises(ValueError, match="at least 1"):
        list(generate(**{"count": 1, **settings}))


def test_command_writes_what_the_reader_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["latent_class", "4", "--num-features", "5", "--seed", "5"])
    main()
    out = capsys.readouterr().out
    (tmp_path / "latent_class.jsonl").write_text(out)
    instances = list(SentimentReader().read(tmp_path / "latent_class.jsonl"))
    examples = list(generate(4, num_features=5, seed=5))
    for number, (instance, example) in enumerate(zip(instances, examples, strict=True), start=1):
        assert instance["metadata"]["tokens"] == example.tokens
        assert instance["metadata"]["sentence_id"] == f"{number}-{example.latent_class}"
        assert instance["label"].label == str(example.label)
        assert instance["latent_class"].label == str(example.latent_class)
        assert json.loads(format_object(example, number))["id"] == f"{number}-{example.latent_class}"
