"""What came out of a sweep: a table, a picture and the best config."""

import csv
import json
import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optuna
from allennlp.models.archival import CONFIG_NAME
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from spigot_allennlp.tuning._search_space import SearchSpace
from spigot_allennlp.tuning.config import Metric
from spigot_allennlp.tuning.text_table import align

ERROR = "error"
"""The attribute of a failed trial that has its error."""

_BEGUN = [state for state in TrialState if state != TrialState.WAITING]


def is_interrupted(trial: FrozenTrial) -> bool:
    """Whether a trial came to no end of its own."""
    return trial.state == TrialState.FAIL and ERROR not in trial.user_attrs


def best_trial(trials: Iterable[FrozenTrial], metric: Metric) -> FrozenTrial | None:
    """The complete trial with the best value, the first of several; `None` if none is complete."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = max if metric.maximise else min
    return best(complete, key=lambda trial: trial.value, default=None)


def write_report(study: optuna.Study, space: SearchSpace, metric: Metric, folder: Path) -> None:
    """
    Writes `trials.json` and `trials.csv`, the table, in the order in which the trials were begun; and, if a trial is
    complete, `trials.png`, its picture, and `best.json`, the config of the best trial.
    """
    rows = table(study, space, metric)
    (folder / "trials.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    with open(folder / "trials.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["trial"])
        writer.writeheader()
        writer.writerows(rows)
    best = best_trial(study.get_trials(deepcopy=False), metric)
    if best is not None:
        shutil.copy(folder / f"trial-{best.number}" / CONFIG_NAME, folder / "best.json")
        plot(study, space, metric).savefig(folder / "trials.png")


def table(study: optuna.Study, space: SearchSpace, metric: Metric) -> list[dict[str, Any]]:
    """A row for each trial that was begun: its number and state, the metric, epochs, seconds, settings and error."""
    rows = []
    for trial in study.get_trials(deepcopy=False, states=_BEGUN):
        rows.append(
            {
                "trial": trial.number,
                "state": _state(trial),
                metric.name: _best_value(trial, metric),
                "epochs": len(trial.intermediate_values),
                "seconds": round(trial.duration.total_seconds()) if trial.duration else None,
                **{name: trial.params.get(name) for name in space.distributions},
                ERROR: trial.user_attrs.get(ERROR),
            }
        )
    return rows


def format_table(rows: list[dict[str, Any]], metric: Metric) -> str:
    """The table as text, the best trial first, columns without a value left out."""
    if not rows:
        return "no trials"

    def rank(row: dict[str, Any]) -> tuple[int, float]:
        value = row[metric.name]
        if value is None:
            return 2, 0.0
        return int(row["state"] != "complete"), -value if metric.maximise else value

    header = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    cells = (["" if row[name] is None else _format(row[name]) for name in header] for row in sorted(rows, key=rank))
    return align([header, *cells])


def format_settings(settings: dict[str, Any]) -> str:
    """Settings in one line."""
    return ", ".join(f"{name} {_format(value)}" for name, value in settings.items())


def plot(study: optuna.Study, space: SearchSpace, metric: Metric) -> Figure:
    """The metric of each trial, and the best so far; below, the metric by each of the settings."""
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED])
    num_settings = len(space.distributions)
    figure = Figure(figsize=(max(6, 3 * num_settings), 7), layout="constrained")
    upper, lower = figure.subfigures(2, 1)
    history = upper.subplots()
    _scatter(history, trials, [trial.number for trial in trials], metric)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = max if metric.maximise else min
    best_so_far = [best(trial.value for trial in complete[: end + 1]) for end in range(len(complete))]
    history.step([trial.number for trial in complete], best_so_far, where="post", label="best so far")
    history.set(xlabel="trial", ylabel=metric.name)
    history.legend()
    axes = lower.subplots(1, num_settings, sharey=True, squeeze=False)[0]
    for axis, (name, distribution) in zip(axes, space.distributions.items(), strict=True):
        values = [trial.params[name] for trial in trials]
        if isinstance(distribution, CategoricalDistribution):
            values = [distribution.choices.index(value) for value in values]
            labels = [textwrap.fill(_format(choice), width=14) for choice in distribution.choices]
            axis.set_xticks(range(len(labels)), labels)
            axis.set_xlim(-0.5, len(labels) - 0.5)
        elif distribution.log:
            axis.set_xscale("log")
            axis.set_xlim(distribution.low, distribution.high)
            axis.xaxis.set_minor_formatter(NullFormatter())
        _scatter(axis, trials, values, metric)
        axis.set_xlabel(name)
    axes[0].set_ylabel(metric.name)
    return figure


def _scatter(axis: Any, trials: list[FrozenTrial], positions: list[float], metric: Metric) -> None:
    for state, color in [(TrialState.COMPLETE, "tab:blue"), (TrialState.PRUNED, "tab:gray")]:
        points = [
            (position, _best_value(trial, metric))
            for position, trial in zip(positions, trials, strict=True)
            if trial.state == state
        ]
        if points:
            axis.scatter(*zip(*points, strict=True), color=color, label=state.name.lower())


def _state(trial: FrozenTrial) -> str:
    if trial.state == TrialState.FAIL:
        return "interrupted" if is_interrupted(trial) else "failed"
    return trial.state.name.lower()


def _best_value(trial: FrozenTrial, metric: Metric) -> float | None:
    """Of its best epoch; of a trial that is pruned too, of which the study keeps the last."""
    values = trial.intermediate_values.values()
    return None if not values else (max if metric.maximise else min)(values)


def _format(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
