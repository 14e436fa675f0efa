"""Whether two methods differ, by their trained models (runs) and the sentences these were tried on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, comb

import numpy as np
from scipy import stats

_CHUNK = 500
_MOST_PERMUTATIONS = 200_000
"""Up to how many ways to share runs out all are tried, so that the test is exact."""


@dataclass
class Counts:
    """
    What a metric that is a share counts: it is the sum of `right` over the sum of `total`, over sentences. For F1,
    `right` is twice the parts in both structures, and `total` the parts of the one and of the other.

    # Parameters

    right, total : `numpy.ndarray`
        `(runs, sentences)`, floating: of each trained model, on each sentence.
    """

    right: np.ndarray
    total: np.ndarray

    def figures(self) -> np.ndarray:
        """The metric of each run, `(runs,)`; 0 where nothing was counted."""
        return _ratio(self.right.sum(1), self.total.sum(1))


@dataclass
class Difference:
    """
    How one method differs from another in a metric.

    # Parameters

    difference : `float`
        Of the means over runs.
    low, high : `float`
        Its 95% interval, by the bootstrap: runs are drawn anew for each method, sentences for both together.
    p_sentences : `float`
        How probable a difference as large would be if each sentence's results might as well be the other's.
    p_runs : `float`, optional
        How probable it would be if each run might as well be the other's; `None` where there are so few ways to share
        the runs out that it could not be below 0.05, as with three runs of each.
    p_both : `float`, optional
        How probable it would be by the spread of runs *and* sentences; `None` where `p_runs` is, or for a single run
        or sentence.
    """

    difference: float
    low: float
    high: float
    p_sentences: float
    p_runs: float | None
    p_both: float | None

    @property
    def p(self) -> float:
        """The largest of those that there are: a difference has to hold for other sentences, other runs and both."""
        return max(p for p in (self.p_sentences, self.p_runs, self.p_both) if p is not None)


def compare(one: Counts, other: Counts, num_resamples: int = 10_000, seed: int = 0) -> Difference:
    """
    Holds two methods against each other, which were tried on the same sentences.

    `p_sentences` is that of approximate randomisation ([Noreen, 1989](https://search.worldcat.org/title/18520636);
    [Yeh, 2000](https://aclanthology.org/C00-2137/)): with the runs as they are, the two methods' results on a sentence
    change places at random. `p_runs` is that of a permutation test, exact where there are no more than 200,000 ways to
    share the runs out: with the sentences as they are, whole runs change places. The first says nothing of other random
    seeds ([Reimers & Gurevych, 2017](https://aclanthology.org/D17-1035/)), the second nothing of other sentences, and
    where both vary alike neither sees more than half of the variance. So `p_both` is that of a t-test whose variance is
    that of runs and that of sentences (by the bootstrap) added up, with the degrees of freedom of
    [Welch (1947)](https://doi.org/10.1093/biomet/34.1-2.28).

    # Parameters

    one, other : `Counts`
        With the same number of sentences. Of runs they may have different numbers.
    num_resamples : `int`, optional (default = `10_000`)
        Of the bootstrap and of each test.
    seed : `int`, optional (default = `0`)

    # Raises

    `ValueError`, if the numbers of sentences differ, or there are none.
    """
    if one.right.shape[1] != other.right.shape[1] or not one.right.size or not other.right.size:
        raise ValueError(f"expected runs on the same sentences, found {one.right.shape[1]} and {other.right.shape[1]}")
    generator = np.random.default_rng(seed)
    difference = one.figures().mean() - other.figures().mean()
    of_sentences, of_both = _bootstrap(one, other, num_resamples, generator)
    low, high = np.quantile(of_both, [0.025, 0.975])
    p_sentences = _swap_sentences(one, other, num_resamples, generator)
    p_runs = p_both = None
    ways = comb(len(one.right) + len(other.right), len(one.right))
    if ways >= 40:
        p_runs = float(
            stats.permutation_test(
                (one.figures(), other.figures()),
                lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
                vectorized=True,
                n_resamples=ways if ways <= _MOST_PERMUTATIONS else num_resamples,
                rng=generator,
            ).pvalue
        )
        if min(len(one.right), len(other.right), one.right.shape[1]) > 1:
            p_both = _t_test(one, other, of_sentences.var(ddof=1))
    return Difference(float(difference), float(low), float(high), p_sentences, p_runs, p_both)


def interval(counts: Counts, num_resamples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """The 95% interval of the mean of a method's runs, by the bootstrap over runs and sentences."""
    generator = np.random.default_rng(seed)
    means = [_resample([counts], size, generator)[0][1] for size in _chunks(num_resamples)]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """
    The p-values of several tests, corrected for their number so that the chance of any false finding stays what it is
    for one ([Holm, 1979](https://www.jstor.org/stable/4615733)).
    """
    corrected = [0.0] * len(p_values)
    least = 0.0
    for rank, i in enumerate(np.argsort(p_values)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[int(i)] = least
    return corrected


def runs_needed(one: Counts, other: Counts, difference: float, power: float = 0.8, level: float = 0.05) -> int | None:
    """
    How many runs each of two methods needs so that a true `difference` of their means is found, with probability
    `power`, by a two-sided test at `level`, where runs differ as much as these do: `2 (z s / difference)^2`, a bit too
    few where that is below ten. `None`, if there are too few runs to tell how much they differ.
    """
    spread = [counts.figures().var(ddof=1) for counts in (one, other) if len(counts.right) > 1]
    if not spread:
        return None
    quantiles = stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)
    return max(2, ceil(2 * float(np.mean(spread)) * (quantiles / difference) ** 2))


def _ratio(right: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.divide(right, total, out=np.zeros_like(right, dtype=float), where=total > 0)


def _bootstrap(one: Counts, other: Counts, num_resamples: int, generator: np.random.Generator) -> np.ndarray:
    """The difference of the means in each resample: of sentences alone, and of runs too; `(2, num_resamples)`."""
    differences = []
    for size in _chunks(num_resamples):
        means = _resample([one, other], size, generator)
        differences.append(means[0] - means[1])
    return np.concatenate(differences, axis=1)


def _resample(methods: Sequence[Counts], size: int, generator: np.random.Generator) -> list[np.ndarray]:
    """
    The mean of each method in each resample, `(2, size)`. Sentences are drawn for all methods together; runs are those
    that there are or, in the second row, drawn for each method.
    """
    sentences = methods[0].right.shape[1]
    weights = generator.multinomial(sentences, np.full(sentences, 1 / sentences), size=size).astype(float)
    means = []
    for counts in methods:
        # Shape: (runs, size)
        figures = _ratio(counts.right @ weights.T, counts.total @ weights.T)
        runs = generator.integers(len(figures), size=figures.shape)
        means.append(np.stack([figures.mean(0), np.take_along_axis(figures, runs, 0).mean(0)]))
    return means


def _swap_sentences(one: Counts, other: Counts, num_resamples: int, generator: np.random.Generator) -> float:
    # A method's result on a sentence is that of all its runs. Shape (each): (sentences,)
    right, total = (one.right.mean(0), other.right.mean(0)), (one.total.mean(0), other.total.mean(0))

    def difference(swapped: np.ndarray) -> np.ndarray:
        change = [swapped @ (counts[1] - counts[0]) for counts in (right, total)]
        first = _ratio(right[0].sum() + change[0], total[0].sum() + change[1])
        return first - _ratio(right[1].sum() - change[0], total[1].sum() - change[1])

    observed = abs(difference(np.zeros((1, len(right[0])))))[0]
    # What is equal but for rounding counts as equal.
    least = observed - 1e-12
    hits = sum(
        int((abs(difference(generator.integers(2, size=(size, len(right[0]))).astype(float))) >= least).sum())
        for size in _chunks(num_resamples)
    )
    return (hits + 1) / (num_resamples + 1)


def _t_test(one: Counts, other: Counts, of_sentences: float) -> float:
    """Of the difference of the means, whose variance by sentences is known."""
    figures = one.figures(), other.figures()
    difference = abs(figures[0].mean() - figures[1].mean())
    variances = np.array([*(of.var(ddof=1) / len(of) for of in figures), of_sentences])
    if not variances.any():
        return float(difference == 0)
    freedom = np.array([len(figures[0]), len(figures[1]), one.right.shape[1]]) - 1
    degrees = variances.sum() ** 2 / (variances**2 / freedom).sum()
    return float(2 * stats.t.sf(difference / np.sqrt(variances.sum()), degrees))


def _chunks(num_resamples: int) -> Iterator[int]:
    for start in range(0, num_resamples, _CHUNK):
        yield min(_CHUNK, num_resamples - start)
