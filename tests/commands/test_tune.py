"""Sweeps with real trainings. `tests/tuning` has the parts."""

import builtins
import json
import re
import signal
import sys

import pytest
from allennlp.commands import main
from allennlp.commands.train import train_model_from_file
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.commands.tune import tune
from spigot_allennlp.framework.bad_input import explain
from spigot_allennlp.models import SyntacticThenSemantic
from tests import FIXTURES_ROOT
from tests.programs import THE_COMMAND, Program, kill_and_interrupt

TOY = FIXTURES_ROOT / "syntactic_then_semantic.jsonnet"
SPACE = {
    "trainer.optimizer.lr": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True},
    "hidden_dim": {"type": "int", "low": 2, "high": 9},
}


@pytest.fixture
def space_file(tmp_path):
    path = tmp_path / "space.json"
    path.write_text(json.dumps(SPACE))
    return path


@pytest.fixture
def spigot_tune(space_file, tmp_path, monkeypatch):
    """Runs the command; what it should write is in `sweep`."""
    monkeypatch.chdir(FIXTURES_ROOT.parent)

    def run(*options, config=TOY, space=space_file):
        arguments = [config, space, "-s", tmp_path / "sweep", *options]
        monkeypatch.setattr("sys.argv", ["allennlp", "spigot-tune", *map(str, arguments)])
        main()

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)


def test_a_sweep_and_its_best_config(spigot_tune, tmp_path, capsys):
    pytest.importorskip("optuna", reason="needs the extra `tune`")
    command = ["--metric=-loss", "--study", "toy", "-n", "3", "--seed", "5", "--sampler", "random"]
    spigot_tune(*command)
    printed = capsys.readouterr().out
    rows = json.loads((tmp_path / "sweep" / "trials.json").read_text())
    best = min(rows, key=lambda row: row["loss"])
    assert [row["state"] for row in rows] == ["complete"] * 3 and len({row["loss"] for row in rows}) == 3
    assert re.match(rf"trial .*\n{best['trial']} +complete ", printed)

    spigot_tune(*command)  # there is nothing left to do
    assert capsys.readouterr().out == printed
    assert json.loads((tmp_path / "sweep" / "trials.json").read_text()) == rows

    train_model_from_file(tmp_path / "sweep" / "best.json", tmp_path / "again")
    metrics = json.loads((tmp_path / "again" / "metrics.json").read_text())
    assert metrics["best_validation_loss"] == best["loss"]


@pytest.mark.slow
def test_settings_that_cannot_be_trained_are_one_trial(tmp_path, space_file, monkeypatch):
    pytest.importorskip("optuna", reason="needs the extra `tune`")
    monkeypatch.chdir(FIXTURES_ROOT.parent)
    space_file.write_text(json.dumps({"hidden_dim": {"type": "categorical", "choices": [-1, 4]}}))
    tune(TOY, space_file, tmp_path / "sweep", num_trials=3, sampler="random")
    rows = json.loads((tmp_path / "sweep" / "trials.json").read_text())
    assert {(row["hidden_dim"], row["state"]) for row in rows} == {(-1, "failed"), (4, "complete")}
    assert all("must be greater than zero" in row["error"] for row in rows if row["state"] == "failed")


@pytest.mark.slow
def test_processes_share_a_sweep_and_what_a_signal_ends_is_tried_again(tmp_path, space_file, monkeypatch):
    pytest.importorskip("optuna", reason="needs the extra `tune`")
    monkeypatch.chdir(FIXTURES_ROOT.parent)
    # Trials long enough that both processes are in one at the same time.
    overrides, sweep = '{"trainer.num_epochs": 15}', tmp_path / "sweep"
    options = ["-s", sweep, "-n", "2", "-o", overrides]
    processes = [Program(THE_COMMAND, "spigot-tune", TOY, space_file, *options) for _ in range(2)]
    locks = [sweep / f"trial-{number}.lock" for number in range(2)]
    kill_and_interrupt(processes, lambda: all(lock.exists() for lock in locks))

    tune(TOY, space_file, sweep, num_trials=2, overrides=overrides)
    rows = json.loads((sweep / "trials.json").read_text())
    assert sorted(row["state"] for row in rows) == ["complete"] * 2 + ["interrupted"] * 2
    settings = [(row["hidden_dim"], row["trainer.optimizer.lr"]) for row in rows]
    assert set(settings[:2]) == set(settings[2:]) and len(set(settings)) == 2


class TestErrors:
    @pytest.mark.parametrize(
        "options, files, message",
        [
            ([], {"config": "{}/nowhere.jsonnet"}, "nowhere.jsonnet"),
            ([], {"config": FIXTURES_ROOT / "toy" / "toy.sdp"}, "unterminated string"),
            ([], {"space": "{}/nowhere.json"}, "nowhere.json"),
            ([], {"config": "{}/space.json"}, "space.json has no validation_data_path"),
            ([], {"space": TOY}, "the search space of 'data_loader': expected an object whose type is"),
            (["-o", '{"trainr.lr": 1}'], {}, "unused keys"),
            (["--metric", "loss"], {}, "expected a metric with +"),
            (["--metric", "+f2"], {}, "the model does not report f2, but "),
            (["--sampler", "grid"], {}, "one of tpe, random, gp, found grid"),
            (["-s", "."], {}, "is neither a new folder nor that of a study"),
        ],
    )
    def test_one_line_says_what_is_wrong_and_nothing_is_written(self, spigot_tune, tmp_path, options, files, message):
        pytest.importorskip("optuna", reason="needs the extra `tune`")
        with pytest.raises((ConfigurationError, FileNotFoundError)) as caught:
            spigot_tune(*options, **{name: str(path).replace("{}", str(tmp_path)) for name, path in files.items()})
        text = explain(caught.value)
        assert text.count(message) == 1 and "\n" not in text
        assert [path.name for path in tmp_path.iterdir()] == ["space.json"]

    @pytest.mark.parametrize("error", [KeyError("k"), ValueError("v")])
    def test_an_error_of_the_code_keeps_its_traceback(self, spigot_tune, tmp_path, monkeypatch, error):
        pytest.importorskip("optuna", reason="needs the extra `tune`")

        def forward(self, **tensors):
            raise error

        monkeypatch.setattr(SyntacticThenSemantic, "forward", forward)
        with pytest.raises(type(error)) as caught:
            spigot_tune()
        assert caught.value is error and explain(error) is None
        assert [path.name for path in tmp_path.iterdir()] == ["space.json"]

    def test_without_the_extra(self, tmp_path, space_file, monkeypatch):
        find = builtins.__import__

        def find_no_optuna(name, *args, **kwargs):
            if name.partition(".")[0] in ("optuna", "spigot_allennlp.tuning"):
                raise ModuleNotFoundError("No module named 'optuna'")
            return find(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", find_no_optuna)
        for module in [name for name in sys.modules if name.startswith("spigot_allennlp.tuning")]:
            monkeypatch.delitem(sys.modules, module)
        with pytest.raises(ConfigurationError, match=r"No module named .optuna.: install the extra `tune`"):
            tune(TOY, space_file, tmp_path / "sweep")
        assert not (tmp_path / "sweep").exists()
