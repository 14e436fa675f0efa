import json
import re

import pytest
from allennlp.common.checks import ConfigurationError
from allennlp.common.plugins import LOCAL_PLUGINS_FILENAME

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.framework.bad_input.command import Command


@pytest.fixture(autouse=True)
def working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def write_config(folder, config: dict) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return str(path)


class TestWhoseRun:
    def train(self, tmp_path, config: dict, *options: str) -> Command:
        return Command(["train", write_config(tmp_path, config), "-s", "output", *options])

    @pytest.mark.parametrize("model, expected", [("spigot_parser", True), ("basic_classifier", False)])
    def test_the_config_decides(self, tmp_path, model, expected):
        (tmp_path / LOCAL_PLUGINS_FILENAME).write_text("spigot_allennlp.plugin")  # which is not asked
        assert self.train(tmp_path, {"model": {"type": model}}).is_ours is expected

    def test_with_its_overrides_or_without_bad_ones(self, tmp_path):
        config = {"model": {"type": "basic_classifier"}}
        assert self.train(tmp_path, config, "-o", '{"model.type": "spigot_parser"}').is_ours
        for bad in ('{"no.such": {"type": "spigot"}}', "{a"):
            assert not self.train(tmp_path, config, "-o", bad).is_ours

    @pytest.mark.parametrize("command", [["train", "nowhere", "-s", "output"], ["predict", "nowhere", "input"]])
    def test_without_a_config_it_is_whether_the_project_asks_for_us(self, tmp_path, command):
        assert not Command(command).is_ours
        for package, expected in (("spigot_allennlp", True), ("spigot_allennlp_2", False)):
            assert Command([*command, "--include-package", package]).is_ours is expected
        (tmp_path / LOCAL_PLUGINS_FILENAME).write_text("another\nspigot_allennlp.plugin\n")
        assert Command(command).is_ours

    def test_the_archive_decides(self, tmp_path, parser_archive):
        for archive in (parser_archive, parser_archive.parent):
            assert Command(["predict", str(archive), "input"]).is_ours
        overrides = {"dataset_reader": {"type": "sequence_tagging"}}
        command = Command(["evaluate", str(parser_archive), "input", "-o", json.dumps(overrides)])
        assert command.is_ours and command.config["dataset_reader"] == overrides["dataset_reader"]

    def test_our_commands(self):
        assert Command(["spigot-draw", "--archive-path", "nowhere"]).is_ours

    @pytest.mark.parametrize("command", [[], ["no-such-command"], ["diff", "a", "b"], ["test-install"]])
    def test_commands_without_a_config(self, tmp_path, command):
        (tmp_path / LOCAL_PLUGINS_FILENAME).write_text("spigot_allennlp.plugin")
        assert not Command(command).is_ours

    def test_of_a_foreign_run_nothing_is_explained(self, tmp_path):
        for model, expected in (("spigot_parser", "bad"), ("basic_classifier", None)):
            assert self.train(tmp_path, {"model": {"type": model}}).explain(FormatError("bad")) == expected


class TestExplain:
    """Besides what the rows of `test_bad_input.py` show."""

    @pytest.fixture
    def train(self, tmp_path):
        return Command(["train", write_config(tmp_path, {"type": "spigot", "data_path": "data"}), "-s", "output"])

    @pytest.mark.parametrize("error", [FileNotFoundError("file data not found"), TypeError("argument 'type'")])
    def test_in_a_training_step_it_is_a_bug(self, train, error):
        error.while_training = True
        assert train.explain(error) is None

    def test_no_more_than_errors(self, train):
        error = KeyboardInterrupt()
        error.explanation = "none"
        assert train.explain(error) is None

    def test_json_that_is_no_argument_is_a_bug(self, train):
        assert train.explain(json.JSONDecodeError("a", "<html>", 0)) is None
        predict = Command(["predict", "archive", "input", "--predictor-args", " <html> ", "--include-package", "x"])
        predict.is_ours = True
        assert "expected JSON, found '<html>'" in predict.explain(json.JSONDecodeError("a", "<html>", 0))

    def test_an_archive_that_is_whole_explains_nothing(self, parser_archive):
        command = Command(["predict", str(parser_archive), "input"])
        assert command.explain(RuntimeError("out of memory")) is None
        assert command.explain(EOFError("a")) == "input: a"

    @pytest.mark.parametrize(
        "more, expected",
        [
            ({"train_data_path": "a.txt"}, 'a path for each task, {"x": "…", "y": "…"}, found \'a.txt\''),
            ({"train_data_path": {"x": "1", "y": "2"}, "validation_data_path": {"x": "1"}}, "found {'x': '1'}"),
            ({"train_data_path": {"x": "1", "y": "2"}}, None),
            ({"train_data_path": "a.txt", "validation_dataset_reader": {}}, None),
        ],
    )
    def test_a_path_for_each_task(self, tmp_path, more, expected):
        config = {"dataset_reader": {"type": "multitask", "readers": {"x": {}, "y": {}}}, "model": {"type": "spigot"}}
        command = Command(["train", write_config(tmp_path, {**config, **more}), "-s", "output"])
        explanation = command.explain(ValueError("Mismatch between readers and data paths"))
        assert explanation is None if expected is None else expected in explanation
        assert command.explain(KeyError("a bug")) is None


class TestOverwriting:
    @pytest.fixture
    def files(self, tmp_path):
        (tmp_path / "in.jsonl").write_text("kept")
        (tmp_path / "link.jsonl").symlink_to("in.jsonl")
        (tmp_path / "other.jsonl").write_text("")

    @pytest.mark.usefixtures("files")
    @pytest.mark.parametrize(
        "arguments, found",
        [
            (["predict", "{archive}", "in.jsonl", "--output-file", "in.jsonl"], "in.jsonl"),
            (["predict", "{archive}", "in.jsonl", "--output-file", "./link.jsonl"], "./link.jsonl"),
            (["predict", "{archive}", "in.jsonl", "--output-file", "{archive}"], "{archive}"),
            (["evaluate", "{archive}", "x,in.jsonl", "--predictions-output-file", "y,link.jsonl"], "link.jsonl"),
            (["evaluate", "{archive}", '{{"a": "in.jsonl"}}', "--output-file", "link.jsonl"], "link.jsonl"),
            (["predict", "{archive}", "in.jsonl", "--output-file", "other.jsonl"], None),
            (["predict", "{archive}", "in.jsonl", "--output-file", "new.jsonl"], None),
            (["predict", "{archive}", "-", "--output-file", "other.jsonl"], None),
            (["predict", "/nowhere", "in.jsonl", "--output-file", "in.jsonl"], None),  # no model of ours
        ],
    )
    def test_what_is_read_is_not_written(self, parser_archive, arguments, found):
        command = Command([argument.format(archive=parser_archive) for argument in arguments])
        if found is None:
            command.check()
            return
        expected = f"another file for the output than for the input, found {found.format(archive=parser_archive)} for"
        with pytest.raises(ConfigurationError, match=re.escape(expected)):
            command.check()
