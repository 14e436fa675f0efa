"""A comparison as text, CSV and JSON."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from spigot_allennlp.comparing import comparison
from spigot_allennlp.comparing.comparison import Example, Methods, Pair, mean_and_deviation
from spigot_allennlp.framework.whole_file import write_whole
from spigot_allennlp.tuning.text_table import align

ABOUT_PAIRS = (
    "p is the largest of three: that of a test over sentences and, where there are enough runs, that of one over runs "
    "and of one over both; corrected for the number of pairs (Holm). Intervals are not corrected."
)
ABOUT_AGREEMENT = "The F1 of chosen parts, of trees the share of heads; a method with itself: its runs with each other."
_NUM_EXAMPLES = 3


@dataclass
class Report:
    """
    What came of a comparison.

    # Parameters

    data : `str`
        What the methods were tried on, in words.
    runs : `dict[str, list[str]]`
        The names of each method's runs.
    figures : `dict[str, dict[str, list[float]]]`
        Of each metric, its values by method, in the order of the runs; `best_epoch` and `seconds` too.
    intervals : `dict[str, dict[str, tuple[float, float]]]`
        Of each metric that is tested, the 95% interval of its mean by method.
    pairs : `list[Pair]`
    agreements : `dict[str, dict[str, dict[str, float | None]]]`
        As [`agreements`](./comparison.md#agreements) has them.
    examples : `list[Example]`
        The sentences on which two methods differ most.
    settings : `dict[str, dict[str, Any]]`
        What was chosen for methods that are tuned.
    notes : `list[str]`
        What else is to be said.
    """

    data: str
    runs: dict[str, list[str]]
    figures: dict[str, dict[str, list[float]]]
    intervals: dict[str, dict[str, tuple[float, float]]]
    pairs: list[Pair]
    agreements: dict[str, dict[str, dict[str, float | None]]]
    examples: list[Example]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def make_report(
    methods: Methods,
    metrics: Sequence[str],
    data: str,
    settings: Mapping[str, dict[str, Any]] | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """
    What can be said of the runs of several methods.

    # Parameters

    methods : `Mapping[str, Sequence[Run]]`
        A method without runs is left out.
    metrics : `Sequence[str]`
        What pairs are compared in. Sentences are drawn by the first.
    data : `str`
    settings : `Mapping[str, dict[str, Any]]`, optional (default = `None`)
    notes : `Sequence[str]`, optional (default = `()`)
    """
    methods = {name: runs for name, runs in methods.items() if runs}
    return Report(
        data=data,
        runs={name: [run.name for run in runs] for name, runs in methods.items()},
        figures=comparison.figures(methods),
        intervals={metric: comparison.intervals(methods, metric) for metric in metrics},
        pairs=[pair for metric in metrics for pair in comparison.compare_pairs(methods, metric)],
        agreements=comparison.agreements(methods),
        examples=comparison.examples(methods, metrics[0], _NUM_EXAMPLES) if metrics else [],
        settings=dict(settings or {}),
        notes=list(notes),
    )


def figure_rows(report: Report) -> list[list[str]]:
    """A table: a row for each metric, a column for each method."""
    rows = [["", *report.runs], ["runs", *(str(len(runs)) for runs in report.runs.values())]]
    for metric, values in report.figures.items():
        digits = 1 if metric in ("best_epoch", "seconds") else 3
        cells = [_with_deviation(values[name], digits) if name in values else "" for name in report.runs]
        rows.append([{"seconds": "training, s", "best_epoch": "best dev epoch"}.get(metric, metric), *cells])
    return rows


def pair_rows(report: Report) -> list[list[str]]:
    """A table: a row for each pair of methods and each metric that is tested; differences in points."""
    rows = [["metric", "methods", "difference", "95% interval", "p", "p, corrected", "sentences", "runs needed"]]
    for pair in report.pairs:
        found = pair.difference
        rows.append(
            [
                pair.metric,
                f"{pair.one} - {pair.other}",
                f"{100 * found.difference:+.2f}",
                f"{100 * found.low:+.2f} to {100 * found.high:+.2f}",
                f"{found.p:.3g}",
                f"{pair.p:.3g}",
                str(pair.num_sentences),
                "" if pair.runs_needed is None else str(pair.runs_needed),
            ]
        )
    return rows


def agreement_rows(table: Mapping[str, Mapping[str, float | None]]) -> list[list[str]]:
    """A table: a row for each method, its agreement with gold and with each method from itself on."""
    columns = ["gold", *table]
    rows = [["", *columns]]
    for name, row in table.items():
        rows.append([name, *("" if row.get(column) is None else f"{row[column]:.3f}" for column in columns)])
    return rows


def example_title(example: Example) -> str:
    """Which sentence it is, and how much each method has wrong."""
    name = example.sentence["sentence_id"] or " ".join(example.sentence["tokens"])[:60]
    one, other = example.errors
    return f"{name}: {example.one} has {one:.3g} wrong, {example.other} {other:.3g} ({example.metric})"


def to_text(report: Report) -> str:
    """All of it but pictures."""
    parts = [f"Tried on {report.data}.", align(figure_rows(report))]
    if report.settings:
        lines = [f"{name}: {json.dumps(settings)}" for name, settings in report.settings.items()]
        parts.append("\n".join(["Chosen settings:", *lines]))
    if report.pairs:
        parts += ["\n".join(pair.verdict() for pair in report.pairs), f"{align(pair_rows(report))}\n{ABOUT_PAIRS}"]
    for kind, table in report.agreements.items():
        parts.append(f"Agreement of the {kind}s. {ABOUT_AGREEMENT}\n{align(agreement_rows(table))}")
    if report.examples:
        parts.append("\n".join(["Sentences that differ most:", *map(example_title, report.examples)]))
    return "\n\n".join([*parts, *(["\n".join(report.notes)] if report.notes else [])]) + "\n"


def to_json(report: Report) -> dict[str, Any]:
    """All of it."""
    content = asdict(report)
    content["figures"] = {
        metric: {
            name: dict(zip(("mean", "standard_deviation", "values"), (*mean_and_deviation(of), of), strict=True))
            for name, of in values.items()
        }
        for metric, values in report.figures.items()
    }
    for pair, row in zip(report.pairs, content["pairs"], strict=True):
        row |= {"told_apart": pair.is_told_apart, "verdict": pair.verdict()}
    return content


def to_csv(report: Report) -> tuple[str, str]:
    """Two tables: of the runs, and of the pairs."""
    runs = [["method", "run", *report.figures]]
    for name, names in report.runs.items():
        columns = [report.figures[metric].get(name, []) for metric in report.figures]
        columns = [column if len(column) == len(names) else [""] * len(names) for column in columns]
        runs += [[name, run, *cells] for run, *cells in zip(names, *columns, strict=True)]
    header = ["metric", "one", "other", "difference", "low", "high", "p_sentences", "p_runs", "p_both"]
    header += ["p_corrected", "runs_needed"]
    pairs: list[list[Any]] = [header]
    for pair in report.pairs:
        found = pair.difference
        tests = [found.difference, found.low, found.high, found.p_sentences, found.p_runs, found.p_both]
        pairs.append([pair.metric, pair.one, pair.other, *tests, pair.p, pair.runs_needed])
    return _to_csv(runs), _to_csv(pairs)


def write_report(report: Report, folder: Path) -> None:
    """Writes `report.txt`, `report.json`, `runs.csv`, `pairs.csv`, `plot.png` and `report.html`."""
    from spigot_allennlp.comparing._plot import plot
    from spigot_allennlp.comparing.page import to_page

    runs, pairs = to_csv(report)
    picture = plot(report)
    files: dict[str, str | bytes] = {
        "report.txt": to_text(report),
        "report.json": json.dumps(to_json(report), indent=2) + "\n",
        "runs.csv": runs,
        "pairs.csv": pairs,
        "plot.png": picture,
        "report.html": to_page(report, picture),
    }
    for name, content in files.items():
        write_whole(folder / name, content)


def _with_deviation(values: Sequence[float], digits: int) -> str:
    mean, deviation = mean_and_deviation(values)
    return f"{mean:.{digits}f}" if deviation is None else f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def _to_csv(rows: Sequence[Sequence[Any]]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
