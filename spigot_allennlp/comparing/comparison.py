"""Every pair of methods, held against each other in a metric and in the structures that they choose."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.comparing.runs import Run
from spigot_allennlp.comparing.statistics import Counts, Difference, compare, holm, interval, runs_needed
from spigot_allennlp.comparing.structures import KINDS, agreement_of_runs, agreement_with_gold, parts_of

LEVEL = 0.05
ASKED_FOR = 0.003
"""The difference of which it is said how many runs it would need."""

Methods = Mapping[str, Sequence[Run]]


@dataclass
class Pair:
    """
    Two methods in a metric, over the sentences that both were tried on and that the metric counts.

    # Parameters

    one, other, metric : `str`
    runs : `tuple[int, int]`
        How many there are of each.
    num_sentences : `int`
    difference : `Difference`
        `one` less `other`.
    p : `float`
        Corrected for the number of pairs.
    runs_needed : `int`, optional
        Of each method, for a difference of `ASKED_FOR`; `None`, if there are too few runs to tell.
    """

    one: str
    other: str
    metric: str
    runs: tuple[int, int]
    num_sentences: int
    difference: Difference
    p: float
    runs_needed: int | None

    @property
    def is_told_apart(self) -> bool:
        """Whether the two differ on these sentences, and in runs with other seeds too."""
        return self.p < LEVEL and self.difference.p_runs is not None

    @property
    def differs_in_these_runs(self) -> bool:
        """Whether the two differ on these sentences, while there are too few runs to say anything of others."""
        return self.p < LEVEL and self.difference.p_runs is None

    def verdict(self) -> str:
        """What came out, in words."""
        found = self.difference
        better, worse = (self.one, self.other) if found.difference >= 0 else (self.other, self.one)
        if self.is_told_apart:
            text = f"{better} is better than {worse} in {self.metric}"
        elif self.differs_in_these_runs:
            text = (
                f"{better} is better than {worse} in {self.metric} in these runs; {self.runs[0]} and {self.runs[1]} "
                "runs are too few to say so of other seeds"
            )
        else:
            text = f"{self.one} and {self.other} are not to be told apart in {self.metric}"
        text += (
            f": {self.one} has {100 * found.difference:+.2f} points (95% interval {100 * found.low:+.2f} to "
            f"{100 * found.high:+.2f}, p = {self.p:.3g})."
        )
        if self.runs_needed is None:
            return (
                f"{text} How many runs a difference of {100 * ASKED_FOR:g} points would need, single runs do not tell."
            )
        return f"{text} A difference of {100 * ASKED_FOR:g} points would need {self.runs_needed} runs of each."


@dataclass
class Example:
    """
    A sentence on which two methods differ.

    # Parameters

    one, other, metric : `str`
    sentence : `dict[str, Any]`
        As an [`Evaluation`](./evaluation.md#evaluation) has it.
    errors : `tuple[float, float]`
        What each has wrong, the mean over its runs.
    predictions : `tuple[dict[str, Any], dict[str, Any]]`
        Of the first run of each.
    """

    one: str
    other: str
    metric: str
    sentence: dict[str, Any]
    errors: tuple[float, float]
    predictions: tuple[dict[str, Any], dict[str, Any]]


def figures(methods: Methods) -> dict[str, dict[str, list[float]]]:
    """Of each metric that a run has, its values by method, in the order of the runs; `best_epoch` and `seconds` too."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, runs in methods.items():
        for run in runs:
            log = {"best_epoch": run.best_epoch, "seconds": run.seconds}
            for metric, value in (*run.evaluation.metrics.items(), *log.items()):
                if value is not None:
                    found[metric][name].append(value)
    last = {metric: found.pop(metric) for metric in ("best_epoch", "seconds") if metric in found}
    return {metric: dict(values) for metric, values in {**found, **last}.items()}


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and the standard deviation of the sample, if there are two values or more."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def intervals(methods: Methods, metric: str) -> dict[str, tuple[float, float]]:
    """Of each method that has the metric, the 95% interval of its mean, over runs and sentences."""
    return {name: interval(_counts(runs, metric)) for name, runs in methods.items() if _has(runs, metric)}


def shares(methods: Methods) -> list[str]:
    """The metrics that can be compared sentence by sentence and that two methods have."""
    names = [metric for runs in methods.values() if runs for metric in runs[0].evaluation.right]
    return [metric for metric in dict.fromkeys(names) if names.count(metric) > 1]


def compare_pairs(methods: Methods, metric: str) -> list[Pair]:
    """
    All pairs of methods, in their order, as far as both have the metric and sentences in common.

    # Raises

    `ConfigurationError`, if the runs of a method were tried on different sentences.
    """
    found = []
    for (one, some), (other, others) in combinations(methods.items(), 2):
        counts = _paired(some, others, metric)
        if counts is not None:
            difference = compare(*counts)
            needed = runs_needed(*counts, ASKED_FOR)
            runs, num_sentences = (len(some), len(others)), counts[0].right.shape[1]
            found.append(Pair(one, other, metric, runs, num_sentences, difference, difference.p, needed))
    for pair, corrected in zip(found, holm([pair.difference.p for pair in found]), strict=True):
        pair.p = corrected
    return found


def agreements(methods: Methods) -> dict[str, dict[str, dict[str, float | None]]]:
    """
    For each kind of structure that a method chooses: by method, its agreement with `gold`, that of its runs with each
    other, and that with each method after it, from 0 to 1. What there is nothing for is `None`.
    """
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for kind in KINDS:
        chosen = {
            name: [[parts_of(kind, one) for one in run.evaluation.predictions] for run in runs]
            for name, runs in methods.items()
            if any(parts_of(kind, one) is not None for run in runs for one in run.evaluation.predictions)
        }
        table = {}
        for i, (name, structures) in enumerate(chosen.items()):
            sentences = methods[name][0].evaluation.sentences
            gold = [parts_of(kind, sentence) for sentence in sentences]
            with_gold = [agreement_with_gold(run, gold, kind) for run in structures]
            row: dict[str, float | None] = {
                "gold": None if None in with_gold else statistics.fmean(with_gold),
                name: agreement_of_runs(structures),
            }
            for other in list(chosen)[i + 1 :]:
                here, there = _common(sentences, methods[other][0].evaluation.sentences)
                own, others = (
                    [[run[i] for i in positions] for run in runs]
                    for runs, positions in ((structures, here), (chosen[other], there))
                )
                row[other] = agreement_of_runs(own, others)
            table[name] = row
        if table:
            found[kind] = table
    return found


def examples(methods: Methods, metric: str, num_of_each: int) -> list[Example]:
    """The sentences on which the errors of two methods differ most, for each pair at most so many."""
    found = []
    for (one, some), (other, others) in combinations(methods.items(), 2):
        if not (_has(some, metric) and _has(others, metric)):
            continue
        places = _common(some[0].evaluation.sentences, others[0].evaluation.sentences)
        errors = [
            (counts.total - counts.right).mean(0)[positions]
            for counts, positions in zip((_counts(some, metric), _counts(others, metric)), places, strict=True)
        ]
        apart = abs(errors[0] - errors[1])
        for i in np.argsort(-apart, kind="stable")[:num_of_each]:
            if apart[i] > 0:
                first, second = (
                    runs[0].evaluation.predictions[positions[i]]
                    for runs, positions in zip((some, others), places, strict=True)
                )
                sentence = some[0].evaluation.sentences[places[0][i]]
                wrong = float(errors[0][i]), float(errors[1][i])
                found.append(Example(one, other, metric, sentence, wrong, (first, second)))
    return found


def _has(runs: Sequence[Run], metric: str) -> bool:
    return bool(runs) and all(metric in run.evaluation.right for run in runs)


def _counts(runs: Sequence[Run], metric: str) -> Counts:
    if any(_keys(run.evaluation.sentences) != _keys(runs[0].evaluation.sentences) for run in runs):
        raise ConfigurationError(f"expected runs of a method on the same sentences, found others for {runs[0].name}")
    return Counts(
        np.array([run.evaluation.right[metric] for run in runs], dtype=float),
        np.array([run.evaluation.total[metric] for run in runs], dtype=float),
    )


def _paired(some: Sequence[Run], others: Sequence[Run], metric: str) -> tuple[Counts, Counts] | None:
    """On the sentences that both have; `None`, if the metric counts none of them."""
    if not (_has(some, metric) and _has(others, metric)):
        return None
    places = _common(some[0].evaluation.sentences, others[0].evaluation.sentences)
    counts = [
        Counts(counts.right[:, positions], counts.total[:, positions])
        for counts, positions in zip((_counts(some, metric), _counts(others, metric)), places, strict=True)
    ]
    is_counted = np.any([one.total.any(0) for one in counts], axis=0)
    if not is_counted.any():
        return None
    one, other = (Counts(counts.right[:, is_counted], counts.total[:, is_counted]) for counts in counts)
    return one, other


def _common(some: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[int]]:
    """The positions of sentences that both have, in the order of the first."""
    there: dict[Any, list[int]] = defaultdict(list)
    for i, key in reversed(list(enumerate(_keys(others)))):
        there[key].append(i)
    pairs = [(i, there[key].pop()) for i, key in enumerate(_keys(some)) if there[key]]
    return [here for here, _ in pairs], [position for _, position in pairs]


def _keys(sentences: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [(one["sentence_id"], tuple(one["tokens"]), tuple(one.get("hypothesis_tokens", ()))) for one in sentences]
