import csv
import json

import pytest

pytest.importorskip("matplotlib", reason="needs the extra `tune`")
from spigot_allennlp.comparing.comparison import Example
from spigot_allennlp.comparing.page import draw_example
from spigot_allennlp.comparing.report import agreement_rows, figure_rows, make_report, to_csv, to_text, write_report
from tests.comparing.test_comparison import run, runs

METHODS = {"a<b": runs(0.8, 4, seed=1), "c": runs(0.7, 4, seed=2)}


@pytest.fixture(scope="module")
def report():
    methods = {**METHODS, "none": []}
    return make_report(methods, ["uas"], "test & more", {"c": {"lr": 0.1}}, ["none, seed 0: not trained yet"])


def test_text(report):
    text = to_text(report)
    assert text.startswith("Tried on test & more.\n\n") and text.endswith("\n\nnone, seed 0: not trained yet\n")
    assert report.pairs[0].verdict() in text and 'Chosen settings:\nc: {"lr": 0.1}' in text
    assert "Sentences that differ most:\n" in text and "Agreement of the trees." in text


def test_tables(report):
    assert [row[0] for row in figure_rows(report)] == ["", "runs", "uas"]
    single = make_report({"a": [run([5, 5], seconds=7.0, best_epoch=2)], "b": [run([4, 4])]}, ["uas"], "")
    assert figure_rows(single)[1:] == [
        ["runs", "1", "1"],
        ["uas", "0.500", "0.400"],
        ["best dev epoch", "2.0", ""],
        ["training, s", "7.0", ""],
    ]
    table = {"a": {"gold": None, "a": 0.5, "b": 0.25}, "b": {"gold": 1.0, "b": None}}
    assert agreement_rows(table) == [["", "gold", "a", "b"], ["a", "", "0.500", "0.250"], ["b", "1.000", "", ""]]


def test_csv_has_a_row_for_each_run_and_each_pair(report):
    of_runs, of_pairs = (list(csv.DictReader(text.splitlines())) for text in to_csv(report))
    assert [row["method"] for row in of_runs] == ["a<b"] * 4 + ["c"] * 4
    assert [float(row["uas"]) for row in of_runs] == [
        one.evaluation.metrics["uas"] for of_method in METHODS.values() for one in of_method
    ]
    (pair,) = of_pairs
    assert float(pair["difference"]) == report.pairs[0].difference.difference


def test_what_is_written(report, tmp_path):
    write_report(report, tmp_path)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["figures"]["uas"]["c"]["mean"] == pytest.approx(sum(report.figures["uas"]["c"]) / 4)
    assert content["pairs"][0]["told_apart"] is report.pairs[0].is_told_apart
    page = (tmp_path / "report.html").read_text()
    assert "<td>a&lt;b - c</td>" in page and "test &amp; more" in page
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "gold, titles, legend",
    [
        ({"heads": [0, 1]}, ["a, against gold", "b, against gold"], "only gold"),
        ({"heads": [0, None]}, ["a against b"], "only a"),
        ({}, ["a against b"], "only a"),
    ],
)
def test_what_is_drawn_of_a_sentence(gold, titles, legend):
    sentence = {"tokens": ["Anna", "sings"], "sentence_id": None, **gold}
    predictions = {"heads": [2, 0]}, {"heads": [0, 1]}
    pictures = draw_example(Example("a", "b", "uas", sentence, (2.0, 0.0), predictions))
    assert [title for title, _ in pictures] == titles
    assert all("Anna" in picture and legend in picture for _, picture in pictures)


def test_graphs_are_drawn_too():
    sentence = {"tokens": ["Anna", "sings"], "sentence_id": None, "arcs": [[2, 1, "A"]], "tops": [2]}
    predictions = {"arcs": [[2, 1, "B"]], "tops": []}, {"arcs": [[2, 1, "A"]], "tops": [2]}
    pictures = draw_example(Example("a", "b", "labelled_f1", sentence, (3.0, 0.0), predictions))
    assert "+B" in pictures[0][1] and "+B" not in pictures[1][1]
