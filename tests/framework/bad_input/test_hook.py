"""What becomes of an error that nothing catches."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest
from allennlp.commands import main
from allennlp.commands.train import train_model_from_file
from allennlp.common.file_utils import cached_path
from allennlp.predictors import Predictor
from allennlp.training import GradientDescentTrainer

from spigot_allennlp.framework.bad_input import hook
from spigot_allennlp.framework.bad_input.command import Command
from spigot_allennlp.models import SyntacticThenSemantic
from tests import FIXTURES_ROOT
from tests.programs import ROOT, THE_COMMAND, run

CONFIG = FIXTURES_ROOT / "dependency_parser.jsonnet"


@pytest.fixture
def fail(monkeypatch, capsys):
    """Runs something that fails, and gives what a program that ends so writes to stderr."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr("allennlp.commands.import_plugins", hook.report)  # which importing the plugin calls
    monkeypatch.setattr(hook, "running_command", lambda: Command(sys.argv[1:]))
    monkeypatch.setattr(logging.getLogger(), "filters", [])
    monkeypatch.chdir(FIXTURES_ROOT.parent)

    def fail(run: Callable, *arguments) -> str:
        monkeypatch.setattr(sys, "argv", ["allennlp", *map(str, arguments)])
        try:
            run()
        except (Exception, KeyboardInterrupt) as error:
            capsys.readouterr()
            sys.excepthook(type(error), error, error.__traceback__)
        return capsys.readouterr().err

    # In a background job it is ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield fail
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def broken(monkeypatch):
    """Makes the constructor of a parser raise an error."""

    def break_with(error: Exception) -> None:
        def raise_error(*args, **kwargs):
            raise error

        monkeypatch.setattr("spigot_allennlp.models.dependency_parser.AttachmentScores", raise_error)

    return break_with


class TestBadInput:
    def test_it_is_told_in_one_line(self, fail):
        assert fail(main, "evaluate", "/nowhere", "x") == "error: file /nowhere not found\n"

    def test_of_a_training_too(self, fail, tmp_path):
        """The framework sets a hook of its own, which logs."""
        overrides = json.dumps({"train_data_path": "/nowhere"})
        told = fail(main, "train", CONFIG, "-s", tmp_path / "output", "-o", overrides)
        assert told == "error: file /nowhere not found\n"
        assert not (tmp_path / "output").exists()

    def test_where_a_log_stays_it_has_the_traceback(self, fail, tmp_path):
        overrides = json.dumps({"trainer.validation_metric": "+no_such"})
        told = fail(main, "train", CONFIG, "-s", tmp_path / "output", "-o", overrides)
        assert told.startswith("error: ") and "no_such" in told and told.count("\n") == 1
        log = (tmp_path / "output" / "out.log").read_text()
        assert told.removeprefix("error: ") in log and "Traceback" in log and "in _train_worker" in log

    def test_with_the_frameworks_switch_for_debugging_there_is_a_traceback(self, fail, monkeypatch, tmp_path):
        monkeypatch.setenv("ALLENNLP_DEBUG", "1")
        told = fail(main, "evaluate", "/nowhere", "x")
        assert told.startswith("Traceback") and "FileNotFoundError: file /nowhere not found" in told
        overrides = json.dumps({"train_data_path": "/nowhere"})
        told = fail(main, "train", CONFIG, "-s", tmp_path / "output", "-o", overrides)
        assert "Traceback" in told and (tmp_path / "output" / "out.log").exists()

    def test_from_python_there_is_a_traceback(self, fail, tmp_path):
        told = fail(lambda: train_model_from_file("/nowhere", tmp_path / "output"))
        assert told.startswith("Traceback") and "error: " not in told


class TestBugs:
    @pytest.mark.parametrize(
        "error",
        [
            ZeroDivisionError("a bug"),
            TypeError("a bug"),
            ValueError("a bug"),
            KeyError("a"),
            OSError("a bug"),
            json.JSONDecodeError("a bug", "<html>", 0),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_a_traceback_and_the_directory_stay(self, fail, broken, tmp_path, error):
        broken(error)
        told = fail(main, "train", CONFIG, "-s", tmp_path / "output")
        assert "error: " not in told
        log = (tmp_path / "output" / "out.log").read_text()
        assert "Traceback" in log and "dependency_parser.py" in log

    @pytest.mark.parametrize(
        "go_wrong",
        [
            lambda: open("/nowhere"),
            lambda: cached_path("fixtures/toy"),  # which the config names
            lambda: cached_path("fixtures/toy/toy.conllu/x"),
            lambda: json.loads("<html>"),
            lambda: Predictor.load_line(None, "<html>"),
            lambda: socket.create_connection(("localhost", 1), timeout=1),
        ],
        ids=["open", "no error", "cached_path", "json", "JSON of the framework's", "connection"],
    )
    def test_in_a_training_step(self, fail, monkeypatch, tmp_path, go_wrong):
        def train_epoch(trainer, epoch):
            go_wrong()
            raise ZeroDivisionError

        monkeypatch.setattr(GradientDescentTrainer, "_train_epoch", train_epoch)
        told = fail(main, "train", CONFIG, "-s", tmp_path / "output")
        log = (tmp_path / "output" / "out.log").read_text()
        assert "error: " not in told and "Traceback" in log and "train_epoch" in log

    def test_what_fails_to_be_explained(self, fail, monkeypatch):
        monkeypatch.setattr(hook.Command, "explain", lambda command, error: 1 // 0)
        told = fail(main, "evaluate", "/nowhere", "x")
        assert told.startswith("Traceback") and "file /nowhere not found" in told and "ZeroDivision" not in told


class TestInterrupted:
    """The program ends as a shell expects it."""

    def test_a_training(self, fail, monkeypatch, tmp_path, capsys):
        monkeypatch.setattr(GradientDescentTrainer, "_train_epoch", interrupt)
        with pytest.raises(SystemExit, match="130"):
            fail(main, "train", CONFIG, "-s", tmp_path / "output")
        assert capsys.readouterr().err == "error: interrupted\n"
        assert "interrupted" in (tmp_path / "output" / "out.log").read_text()

    def test_before_a_training_nothing_stays(self, fail, monkeypatch, tmp_path):
        monkeypatch.setattr("spigot_allennlp.data.dataset_readers.conllu.read_conll", interrupt)
        with pytest.raises(SystemExit, match="130"):
            fail(main, "train", CONFIG, "-s", tmp_path / "output")
        assert not (tmp_path / "output").exists()

    def test_a_prediction(self, fail, monkeypatch, parser_archive, capsys):
        monkeypatch.setattr(SyntacticThenSemantic, "forward", interrupt)
        command = ("predict", parser_archive, FIXTURES_ROOT / "toy" / "toy.sdp", "--use-dataset-reader")
        with pytest.raises(SystemExit, match="130"):
            fail(main, *command)
        assert capsys.readouterr().err == "error: interrupted\n"
        monkeypatch.setenv("ALLENNLP_DEBUG", "1")
        assert "Traceback" in fail(main, *command)

    def test_of_a_foreign_program_nothing_changes(self, fail):
        told = fail(lambda: interrupt(), "predict", "/nowhere", "x")
        assert told.startswith("Traceback") and "error: " not in told


def interrupt(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_what_reads_the_output_may_stop_reading(parser_archive):
    """`allennlp predict … | head -1`, in an interpreter that ends: there are no words about it."""
    predict = [
        sys.executable,
        "-m",
        "allennlp",
        "predict",
        parser_archive,
        "fixtures/toy/toy.sdp",
        "--use-dataset-reader",
    ]
    environment = {**os.environ, "ALLENNLP_LOG_LEVEL": "ERROR"}
    with subprocess.Popen(
        predict, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=environment
    ) as program:
        program.stdout.close()
        errors = program.stderr.read().decode()
    assert program.returncode in (0, 128 + signal.SIGPIPE)
    assert "BrokenPipe" not in errors and "Traceback" not in errors


class TestRemains:
    """Which trainings the remains of are removed, see also `test_remains.py`."""

    @pytest.mark.parametrize("trainer, is_there", [("spigot", False), ("gradient_descent", True)])
    def test_only_of_our_trainer(self, fail, tmp_path, trainer, is_there):
        """Of another one it is not known whether the training had begun."""
        overrides = json.dumps({"trainer.type": trainer, "train_data_path": "/nowhere"})
        told = fail(main, "train", CONFIG, "-s", tmp_path / "output", "-o", overrides)
        assert told == "error: file /nowhere not found\n"
        assert (tmp_path / "output" / "out.log").exists() == is_there

    def test_a_folder_that_had_files_stays(self, fail, tmp_path):
        (tmp_path / "output").mkdir()
        (tmp_path / "output" / "config.json").write_text("{}")
        told = fail(main, "train", CONFIG, "-s", tmp_path / "output")
        assert "not empty" in told
        assert (tmp_path / "output" / "config.json").read_text() == "{}"


def test_the_hook_is_set_only_while_the_command_runs(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    filters = logging.getLogger().filters[:]
    hook.report()
    assert sys.excepthook is sys.__excepthook__ and logging.getLogger().filters == filters


@pytest.mark.slow
@pytest.mark.parametrize("in_a_new_interpreter", [True, False])
def test_the_program_ends_with_one_line_and_status_1(tmp_path, in_a_new_interpreter):
    config = FIXTURES_ROOT.parent / "training_configs" / "syntactic_then_semantic" / "spigot.jsonnet"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPIGOT_")}
    environment.update(SPIGOT_TRAIN="/nowhere.sdp", SPIGOT_DEV="/nowhere.sdp", SPIGOT_GLOVE="/nowhere.txt")
    arguments = ["train", config, "-s", tmp_path / "output"]
    if in_a_new_interpreter:
        command = [sys.executable, "-m", "allennlp", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=ROOT)
        status, out, errors = ended.returncode, ended.stdout, ended.stderr
    else:
        ended = run(THE_COMMAND, *arguments, environment=environment)
        status, out, errors = ended.status, ended.out, ended.errors
    assert status == 1
    assert errors.splitlines()[-1] == "error: file /nowhere.sdp not found"
    assert "Traceback" not in out + errors
    assert not (tmp_path / "output").exists()
