import csv
import json

import pytest

pytest.importorskip("optuna", reason="needs the extra `tune`")
import optuna
from optuna.trial import TrialState

from spigot_allennlp.tuning._report import best_trial, format_settings, format_table, plot, table, write_report
from spigot_allennlp.tuning._search_space import SearchSpace
from spigot_allennlp.tuning.config import Metric

SPACE = SearchSpace(
    {
        "lr": {"type": "float", "low": 1e-4, "high": 1, "log": True},
        "scorer": {"type": "categorical", "choices": [{"type": "mlp"}, {"type": "biaffine"}]},
    }
)
F1, LOSS = Metric("f1", maximise=True), Metric("loss", maximise=False)
MLP, BIAFFINE = '{"type": "mlp"}', '{"type": "biaffine"}'


def make_study(direction="maximize"):
    """Trials in each state: of the interrupted one there is a retry that is not begun."""
    study = optuna.create_study(direction=direction)
    for lr, scorer, epochs, state, error in [
        (0.1, MLP, [0.1, 0.4, 0.3], TrialState.COMPLETE, None),
        (0.01, BIAFFINE, [0.2, 0.5], TrialState.COMPLETE, None),
        (0.001, MLP, [0.6, 0.05], TrialState.PRUNED, None),
        (1.0, MLP, [], TrialState.FAIL, "ValueError: nan, sadly"),
        (0.5, MLP, [0.1], TrialState.FAIL, None),
        (0.5, MLP, [], TrialState.WAITING, None),
        (0.2, MLP, [0.1], TrialState.RUNNING, None),
    ]:
        best = max if direction == "maximize" else min
        study.add_trial(
            optuna.create_trial(
                state=state,
                value=best(epochs) if state == TrialState.COMPLETE else None,
                params={"lr": lr, "scorer": scorer},
                distributions=SPACE.distributions,
                intermediate_values=dict(enumerate(epochs)),
                user_attrs={} if error is None else {"error": error},
            )
        )
    return study


def test_a_row_for_each_trial():
    rows = table(make_study(), SPACE, F1)
    states = ["complete", "complete", "pruned", "failed", "interrupted", "running"]
    assert [row["state"] for row in rows] == states
    assert [row["trial"] for row in rows] == [0, 1, 2, 3, 4, 6]
    assert [row["f1"] for row in rows] == [0.4, 0.5, 0.6, None, 0.1, 0.1]
    assert [row["epochs"] for row in rows] == [3, 2, 2, 0, 1, 1]
    assert rows[1]["lr"] == 0.01 and rows[1]["scorer"] == BIAFFINE
    assert [row["error"] for row in rows] == [None] * 3 + ["ValueError: nan, sadly"] + [None] * 2


@pytest.mark.parametrize(
    "direction, metric, order", [("maximize", F1, [1, 0, 2]), ("minimize", LOSS, [0, 1, 2])], ids=["max", "min"]
)
def test_the_best_stands_first_in_the_text(direction, metric, order):
    rows = table(make_study(direction), SPACE, metric)
    lines = format_table(rows, metric).splitlines()
    assert lines[0].split() == ["trial", "state", metric.name, "epochs", "lr", "scorer", "error"]
    assert [int(line.split()[0]) for line in lines[1:4]] == order and len(lines) == 7
    assert len({line.find(MLP) for line in lines if MLP in line}) == 1


def test_no_trials():
    assert format_table([], F1) == "no trials"


def test_settings_in_a_line():
    assert format_settings({"lr": 0.00123456, "dim": 5, "type": "mlp"}) == "lr 0.001235, dim 5, type mlp"


@pytest.mark.parametrize("metric, best", [(F1, 1), (LOSS, 0)])
def test_the_best_trial(metric, best):
    trials = make_study().trials
    assert best_trial(trials, metric) is trials[best]
    assert best_trial([*trials, *make_study().trials], metric) is trials[best]
    assert best_trial(trials[2:], metric) is None


def test_files(tmp_path):
    for number in range(7):
        (tmp_path / f"trial-{number}").mkdir()
        (tmp_path / f"trial-{number}" / "config.json").write_text(json.dumps({"number": number}))
    study = make_study()
    write_report(study, SPACE, F1, tmp_path)
    rows = table(study, SPACE, F1)
    assert json.loads((tmp_path / "trials.json").read_text()) == rows
    with open(tmp_path / "trials.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert written == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    assert json.loads((tmp_path / "best.json").read_text()) == {"number": 1}
    assert (tmp_path / "trials.png").read_bytes().startswith(b"\x89PNG")


def test_files_without_a_trial_that_is_complete(tmp_path):
    write_report(optuna.create_study(), SPACE, F1, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"trials.json", "trials.csv"}


def test_the_picture():
    figure = plot(make_study(), SPACE, F1)
    history, *slices = figure.axes
    complete, pruned = (collection.get_offsets().tolist() for collection in history.collections)
    assert complete == [[0, 0.4], [1, 0.5]] and pruned == [[2, 0.6]]
    assert history.lines[0].get_ydata().tolist() == [0.4, 0.5]
    assert [axis.get_xlabel() for axis in slices] == ["lr", "scorer"]
    assert [axis.get_xscale() for axis in slices] == ["log", "linear"]
    assert slices[1].collections[0].get_offsets().tolist() == [[0, 0.4], [1, 0.5]]
