"""A comparison as a plot."""

from io import BytesIO
from typing import Any

from matplotlib.figure import Figure

from spigot_allennlp.comparing.comparison import mean_and_deviation
from spigot_allennlp.comparing.report import Report


def plot(report: Report) -> bytes:
    """
    A PNG picture with a row for each metric that is tested: on the left the runs, and the mean of each method with its
    95% interval; on the right the differences of the pairs with theirs, black where two methods are told apart.
    """
    metrics = list(report.intervals)
    rows = max(len(report.runs), len(report.pairs) // max(1, len(metrics)))
    size = (10, max(1, len(metrics)) * (1.2 + 0.35 * rows))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    for metric, (methods, differences) in zip(
        metrics, figure.subplots(max(1, len(metrics)), 2, squeeze=False), strict=False
    ):
        _plot_methods(methods, report, metric)
        _plot_differences(differences, report, metric)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _plot_methods(axes: Any, report: Report, metric: str) -> None:
    names = list(report.intervals[metric])
    for row, name in enumerate(names):
        values = report.figures[metric][name]
        axes.scatter(values, [row] * len(values), color="tab:gray", s=12)
        mean, (low, high) = mean_and_deviation(values)[0], report.intervals[metric][name]
        axes.plot([low, high], [row, row], color="black", linewidth=1)
        axes.scatter([mean], [row], color="black", marker="D", s=24)
    _label(axes, names, metric)


def _plot_differences(axes: Any, report: Report, metric: str) -> None:
    pairs = [pair for pair in report.pairs if pair.metric == metric]
    axes.axvline(0, color="tab:gray", linewidth=1)
    for row, pair in enumerate(pairs):
        found, color = pair.difference, "black" if pair.is_told_apart else "tab:gray"
        axes.plot([100 * found.low, 100 * found.high], [row, row], color=color, linewidth=1)
        axes.scatter([100 * found.difference], [row], color=color, marker="D", s=24)
    _label(axes, [f"{pair.one} - {pair.other}" for pair in pairs], "difference, points")


def _label(axes: Any, names: list[str], title: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(title)
