import numpy as np
import pytest
from scipy.stats import permutation_test

from spigot_allennlp.comparing.statistics import Counts, compare, holm, runs_needed


def method(
    generator, rate: float, runs: int = 5, sentences: int = 200, spread: float = 0.01, taste: float = 0
) -> Counts:
    """
    Runs that are right on about so many tokens, each a bit better or worse, on sentences that are easy or hard for all
    methods and, by its taste, for this one.
    """
    total = np.tile(np.arange(sentences) % 20 + 5, (runs, 1)).astype(float)
    ease = np.random.default_rng(0).normal(0, 0.05, sentences) + taste * generator.standard_normal(sentences)
    rates = np.clip(rate + spread * generator.standard_normal((runs, 1)) + ease, 0, 1)
    return Counts(generator.binomial(total.astype(int), rates).astype(float), total)


def test_figures_are_shares_over_all_sentences():
    counts = Counts(np.array([[1.0, 0.0], [2.0, 3.0], [0.0, 0.0]]), np.array([[2.0, 2.0], [2.0, 3.0], [0.0, 0.0]]))
    assert counts.figures().tolist() == [0.25, 1, 0]


def test_methods_that_are_the_same_differ_at_the_nominal_rate():
    generator = np.random.default_rng(1)
    found = [
        compare(*(method(generator, 0.8, sentences=60, spread=0.03) for _ in range(2)), num_resamples=200)
        for _ in range(200)
    ]
    assert np.mean([one.p < 0.05 for one in found]) <= 0.08
    # The test over sentences alone, which knows nothing of seeds, finds what is not there.
    assert np.mean([one.p_sentences < 0.05 for one in found]) > 0.3
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.85


def test_they_do_where_runs_and_sentences_vary_alike():
    generator = np.random.default_rng(7)
    found = [
        compare(*(method(generator, 0.7, 6, 60, spread=0.03, taste=0.15) for _ in range(2)), num_resamples=200)
        for _ in range(200)
    ]
    rate = np.mean([one.p < 0.05 for one in found])
    assert rate <= 0.07
    # Either of two sees the spread of one of them, runs or sentences.
    assert np.mean([max(one.p_sentences, one.p_runs) < 0.05 for one in found]) > rate


def test_planted_difference_is_found():
    generator = np.random.default_rng(2)
    found = compare(method(generator, 0.84), method(generator, 0.78), num_resamples=2000)
    assert 0.04 < found.difference < 0.08
    assert 0 < found.low < found.difference < found.high
    assert found.p < 0.01 and found.p_runs == pytest.approx(2 / 252)


def test_no_difference_at_all():
    one = method(np.random.default_rng(3), 0.8, spread=0)
    found = compare(one, one, num_resamples=500)
    assert found.difference == 0 and found.low <= 0 <= found.high
    assert found.p_sentences == 1 and found.p_runs == 1 and found.p_both == 1


@pytest.mark.parametrize(
    "runs, other_runs, has_p", [(1, 1, False), (1, 9, False), (3, 3, False), (4, 4, True), (2, 8, True)]
)
def test_too_few_runs_say_nothing_of_runs(runs, other_runs, has_p):
    generator = np.random.default_rng(4)
    found = compare(method(generator, 0.8, runs), method(generator, 0.7, other_runs), num_resamples=500)
    assert (found.p_runs is not None) == (found.p_both is not None) == has_p
    assert found.p == max(p for p in (found.p_sentences, found.p_runs, found.p_both) if p is not None)


def test_runs_are_shared_out_in_all_ways():
    generator = np.random.default_rng(8)
    found = compare(method(generator, 0.9, 8), method(generator, 0.5, 8), num_resamples=200)
    assert found.p_runs == pytest.approx(2 / 12_870)


def test_sentences_change_places_as_in_scipy():
    generator = np.random.default_rng(5)
    one, other = method(generator, 0.8, 1, 8), method(generator, 0.7, 1, 8)
    total = one.total = other.total = np.full((1, 8), 10.0)
    expected = permutation_test(
        (one.right[0], other.right[0]),
        lambda x, y, axis: (x - y).sum(axis=axis) / total.sum(),
        permutation_type="samples",
        vectorized=True,
    ).pvalue
    assert compare(one, other, num_resamples=20_000).p_sentences == pytest.approx(expected, abs=0.02)


def test_other_sentences_are_refused():
    generator = np.random.default_rng(6)
    with pytest.raises(ValueError, match="same sentences, found 200 and 199"):
        compare(method(generator, 0.8), method(generator, 0.8, sentences=199))


def test_holm():
    # Three tests: 3 * 0.01, 2 * 0.03, and no less than that before it.
    assert holm([0.03, 0.01, 0.04]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_runs_needed():
    right = np.array([[80.0], [81.0], [79.0]])  # s.d. 0.01
    counts = Counts(right, np.full((3, 1), 100.0))
    # 2 * (0.01 * (1.960 + 0.842) / 0.003)^2
    assert runs_needed(counts, counts, 0.003) == 175
    assert runs_needed(Counts(right[:1], right[:1]), Counts(right[:1], right[:1]), 0.003) is None
