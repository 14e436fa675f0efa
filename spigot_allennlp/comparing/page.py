"""A comparison as one HTML page, which needs nothing from elsewhere."""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from spigot_allennlp.comparing.comparison import Example
from spigot_allennlp.comparing.report import (
    ABOUT_AGREEMENT,
    ABOUT_PAIRS,
    Report,
    agreement_rows,
    example_title,
    figure_rows,
    pair_rows,
)
from spigot_allennlp.drawing import draw_graph, draw_tree

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font-family: sans-serif }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
td, th {{ padding: 0.2rem 0.8rem 0.2rem 0; text-align: left; font-variant-numeric: tabular-nums }}
img {{ max-width: 100%; background: white }}
figure {{ margin: 0 0 3rem; overflow-x: auto }}
figcaption {{ position: sticky; left: 0 }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def to_page(report: Report, picture: bytes) -> str:
    """
    The report as one HTML page, which needs nothing from elsewhere.

    # Parameters

    report : `Report`
    picture : `bytes`
        Its plot, PNG.
    """
    parts = [f"<p>Tried on {escape(report.data)}.</p>", _table(figure_rows(report))]
    for name, settings in report.settings.items():
        parts.append(f"<p>Chosen for {escape(name)}: <code>{escape(json.dumps(settings))}</code></p>")
    if report.pairs:
        verdicts = "\n".join(f"<li>{escape(pair.verdict())}</li>" for pair in report.pairs)
        parts += ["<h2>Pairs</h2>", f"<ul>\n{verdicts}\n</ul>", _table(pair_rows(report)), f"<p>{ABOUT_PAIRS}</p>"]
        encoded = base64.b64encode(picture).decode()
        alt = "Each method's runs with their mean, and the differences of the pairs, with 95% intervals"
        parts.append(f'<p><img alt="{alt}" src="data:image/png;base64,{encoded}"></p>')
    for kind, table in report.agreements.items():
        parts += [f"<h2>Agreement of the {kind}s</h2>", f"<p>{ABOUT_AGREEMENT}</p>", _table(agreement_rows(table))]
    if report.examples:
        parts.append("<h2>Sentences that differ most</h2>")
        parts += map(_figure, report.examples)
    parts += [f"<p>{escape(note)}</p>" for note in report.notes]
    return _PAGE.format(title=escape(" · ".join(report.runs)), body="\n".join(parts))


def draw_example(example: Example) -> list[tuple[str, str]]:
    """
    Pictures of what the first runs of two methods choose, each with what it is: against gold, where there is gold of
    that kind, and else the one against the other.
    """
    names = example.one, example.other
    pictures = []
    for key, draw in (("heads", _draw_trees), ("arcs", _draw_graphs)):
        predicted = [prediction for prediction in example.predictions if key in prediction]
        if None not in example.sentence.get(key, [None]):  # gold, and all of it
            for name, prediction in zip(names, example.predictions, strict=True):
                if key in prediction:
                    pictures.append((f"{name}, against gold", draw(example.sentence, prediction, example.sentence)))
        elif len(predicted) == 2:
            meanings = ("both", f"only {names[0]}", f"only {names[1]}")
            pictures.append((" against ".join(names), draw(example.sentence, *predicted, meanings)))
    return pictures


def _draw_trees(
    sentence: Mapping[str, Any], one: Mapping[str, Any], other: Mapping[str, Any], *meanings: tuple[str, str, str]
) -> str:
    return draw_tree(sentence["tokens"], one["heads"], None, other["heads"], *meanings)


def _draw_graphs(
    sentence: Mapping[str, Any], one: Mapping[str, Any], other: Mapping[str, Any], *meanings: tuple[str, str, str]
) -> str:
    arcs = [list(map(tuple, graph["arcs"])) for graph in (one, other)]
    return draw_graph(sentence["tokens"], arcs[0], one["tops"], arcs[1], other["tops"], "top", *meanings)


def _figure(example: Example) -> str:
    parts = [f"<figcaption>{escape(example_title(example))}</figcaption>"]
    labels = [prediction.get("label") for prediction in example.predictions]
    if None not in labels:
        told = zip((example.one, example.other), labels, strict=True)
        text = "; ".join(f"{name}: {label}" for name, label in told)
        parts.append(f"<p>{escape(text)}; gold: {escape(str(example.sentence.get('label')))}</p>")
    for title, picture in draw_example(example):
        parts.append(f"<p>{escape(title)}</p>\n{picture}")
    return "<figure>\n" + "\n".join(parts) + "\n</figure>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = []
    for i, row in enumerate(rows):
        cell = "th" if i == 0 else "td"
        lines.append("<tr>" + "".join(f"<{cell}>{escape(text)}</{cell}>" for text in row) + "</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"
