import numpy as np
import pytest
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.comparing import comparison
from spigot_allennlp.comparing.evaluation import Evaluation
from spigot_allennlp.comparing.runs import Run

NUM_SENTENCES = 40


def run(right, total=10, name="seed", metric="uas", sentences=None, **log):
    """A run that has so much right of each sentence of ten tokens."""
    right = [int(one) for one in right]
    if sentences is None:
        sentences = [{"tokens": ["a"] * 10, "sentence_id": str(i)} for i in range(len(right))]
    totals = [total] * len(right)
    predictions = [{"heads": [0] * 10} for _ in right]
    return Run(
        name,
        Evaluation({metric: sum(right) / sum(totals)}, {metric: right}, {metric: totals}, sentences, predictions),
        **log,
    )


def runs(rate, num_runs=5, seed=0):
    generator = np.random.default_rng(seed)
    return [run(generator.binomial(10, rate, NUM_SENTENCES)) for _ in range(num_runs)]


def test_a_method_is_not_to_be_told_apart_from_itself():
    same = runs(0.8)
    (pair,) = comparison.compare_pairs({"one": same, "other": same}, "uas")
    assert pair.difference.difference == 0 and pair.p == 1 and not pair.is_told_apart
    assert pair.verdict().startswith("one and other are not to be told apart in uas: one has +0.00 points")
    assert "A difference of 0.3 points would need " in pair.verdict()


def test_a_planted_difference_is_found_and_the_better_one_named():
    methods = {"bad": runs(0.6, seed=1), "good": runs(0.8, seed=2), "also_good": runs(0.8, seed=2)}
    pairs = comparison.compare_pairs(methods, "uas")
    told = {(pair.one, pair.other): pair.is_told_apart for pair in pairs}
    assert told == {("bad", "good"): True, ("bad", "also_good"): True, ("good", "also_good"): False}
    assert pairs[0].verdict().startswith("good is better than bad in uas: bad has -")
    assert pairs[0].p == pytest.approx(3 * pairs[0].difference.p)  # Holm's, the least of three


def test_single_runs_say_nothing_of_seeds():
    (pair,) = comparison.compare_pairs({"bad": runs(0.5, 1), "good": runs(0.9, 1, seed=1)}, "uas")
    assert not pair.is_told_apart and pair.differs_in_these_runs and pair.runs_needed is None
    assert "good is better than bad in uas in these runs; 1 and 1 runs are too few" in pair.verdict()
    assert "single runs do not tell" in pair.verdict()


def test_only_sentences_that_both_have_and_the_metric_counts():
    ids = [{"tokens": [str(i)], "sentence_id": None} for i in range(4)]
    one = run([1, 1, 0, 0], 1, sentences=ids)
    other = run([0, 1, 1], 1, sentences=[ids[3], ids[0], ids[2]])
    one.evaluation.total["uas"][2] = other.evaluation.total["uas"][2] = 0
    other.evaluation.right["uas"][2] = 0
    (pair,) = comparison.compare_pairs({"one": [one], "other": [other]}, "uas")
    assert pair.num_sentences == 2 and pair.difference.difference == 0
    elsewhere = run([1], 1, sentences=[{"tokens": ["elsewhere"], "sentence_id": None}])
    assert comparison.compare_pairs({"one": [one], "other": [elsewhere]}, "uas") == []
    assert comparison.compare_pairs({"one": [one], "other": [run([1] * 4, metric="las")]}, "uas") == []


def test_runs_of_a_method_on_other_sentences_are_refused():
    one, other = run([1, 2]), run([1, 2, 3], name="b.tar.gz")
    with pytest.raises(ConfigurationError, match="runs of a method on the same sentences"):
        comparison.compare_pairs({"a": [one, other], "b": [one]}, "uas")


def test_figures_of_each_metric():
    methods = {"a": [run([9], seconds=2.0, best_epoch=3), run([7], seconds=4.0, best_epoch=1)], "b": [run([5])]}
    found = comparison.figures(methods)
    assert list(found) == ["uas", "best_epoch", "seconds"]
    assert found["uas"] == {"a": [0.9, 0.7], "b": [0.5]} and found["seconds"] == {"a": [2.0, 4.0]}
    assert comparison.mean_and_deviation([2.0, 4.0]) == (3, pytest.approx(2**0.5))
    assert comparison.mean_and_deviation([2.0]) == (2, None)
    assert comparison.shares(methods) == ["uas"] and comparison.shares({"a": methods["a"]}) == []


def test_the_interval_of_a_method_is_around_its_mean():
    low, high = comparison.intervals({"a": runs(0.8)}, "uas")["a"]
    mean = np.mean(comparison.figures({"a": runs(0.8)})["uas"]["a"])
    assert low < mean < high and high - low < 0.1


def test_the_sentences_that_differ_most_are_those_whose_errors_do():
    one = [run([10, 5, 3, 8]), run([10, 5, 3, 10])]
    other = [run([10, 9, 1, 9])]
    first, second = comparison.examples({"one": one, "other": other}, "uas", num_of_each=2)
    assert [example.sentence["sentence_id"] for example in (first, second)] == ["1", "2"]
    assert (first.errors, second.errors) == ((5, 1), (7, 9))
    assert comparison.examples({"one": one, "same": one}, "uas", num_of_each=2) == []


def test_agreement_with_gold_within_and_between():
    gold = [{"tokens": ["a", "b"], "sentence_id": None, "heads": [0, 1]}]

    def chooses(*heads):
        evaluation = Evaluation({}, {}, {}, gold, [{"heads": list(heads)}])
        return Run("", evaluation)

    table = comparison.agreements({"a": [chooses(0, 1), chooses(2, 0)], "b": [chooses(2, 0)]})["tree"]
    assert table == {"a": {"gold": 0.5, "a": 0, "b": 0.5}, "b": {"gold": 0, "b": None}}
