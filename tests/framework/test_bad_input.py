"""Each row is something that users get wrong, and the one line that tells them."""

import gzip
import io
import json
import logging
import re
import sys
import tarfile
from pathlib import Path

import pytest
from allennlp.commands import main
from allennlp.commands.train import train_model_from_file

from spigot_allennlp.framework.bad_input.command import Command
from spigot_allennlp.framework.bad_input.hook import Report
from tests import FIXTURES_ROOT
from tests.framework.bad_input_rows import (
    ARCHIVES,
    COMMANDS,
    COMPANIONS,
    CONFIGS,
    CONLLU,
    DATA,
    EVALUATE_OPTIONS,
    EVALUATED,
    FILES,
    LATE_SETTINGS,
    LINE,
    LINES,
    OPTIONS,
    PARSER,
    SDP,
    SENTIMENT,
    SENTIMENT_DATA,
    SENTIMENTS,
    SETTINGS,
    TREES,
    VECTORS,
)

TRAINING_CONFIGS = FIXTURES_ROOT.parent / "training_configs"
SMALL = """
(import '%s') + {
  word_dim:: 4, lemma_dim:: 3, pos_dim:: 2, hidden_dim:: 4, mlp_dim:: 5, classifier_dim:: 4,
  trainer+: { num_epochs: 1, enable_default_callbacks: false },
}
"""


@pytest.fixture(autouse=True)
def working_directory(monkeypatch):
    monkeypatch.chdir(FIXTURES_ROOT.parent)


@pytest.fixture
def allennlp(monkeypatch, capsys):
    """Runs a command that must fail, and gives the line that explains why."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # a training sets its own
    # What takes long when so many commands are run.
    monkeypatch.setattr("allennlp.commands.import_plugins", lambda: None)
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)

    def run(*arguments) -> str:
        arguments = list(map(str, arguments))
        monkeypatch.setattr(sys, "argv", ["allennlp", *arguments])
        report = Report(Command(arguments))  # which importing the plugin makes
        with pytest.raises(Exception) as caught:
            main()
        capsys.readouterr()
        assert report.tell(caught.value), repr(caught.value)
        label, explanation = capsys.readouterr().err.split(": ", maxsplit=1)
        assert label == "error" and explanation.index("\n") == len(explanation) - 1
        return explanation.rstrip("\n")

    return run


def matches(expected: str, explanation: str) -> bool:
    """Whether the explanation has the parts of what is expected, in their order."""
    return re.search(".*".join(map(re.escape, expected.split(" … "))), explanation) is not None


class TestEnvironment:
    """What the variables that the training configs read may point to."""

    @pytest.fixture
    def train(self, allennlp, tmp_path, monkeypatch):
        for name, file, content in (
            ("SPIGOT_TRAIN", "train.sdp", SDP),
            ("SPIGOT_DEV", "dev.sdp", SDP),
            ("SPIGOT_GLOVE", "glove.txt.gz", gzip.compress(b"the 1 1 1 1\n")),
            ("SPIGOT_PARSER", "model.tar.gz", b""),
            ("SPIGOT_SENTIMENT_TRAIN", "sentiment.txt", SENTIMENT_DATA),
            ("SPIGOT_SENTIMENT_DEV", "dev.txt", SENTIMENT_DATA),
        ):
            (tmp_path / file).write_bytes(content)
            monkeypatch.setenv(name, str(tmp_path / file))
        for file in ("train.conllu", "dev.conllu"):
            (tmp_path / file).write_bytes(CONLLU)

        def train(config: str) -> str:
            (tmp_path / "config.jsonnet").write_text(SMALL % (TRAINING_CONFIGS / config))
            explanation = allennlp("train", tmp_path / "config.jsonnet", "-s", tmp_path / "output")
            assert not (tmp_path / "output").exists()
            return explanation

        return train

    @staticmethod
    def write(path: Path, content) -> None:
        path.unlink(missing_ok=True)
        if content == "folder":
            path.mkdir()
        elif content is not None:
            path.write_bytes(content)

    @pytest.mark.parametrize("content, expected", DATA.values(), ids=DATA)
    def test_data(self, train, tmp_path, content, expected):
        self.write(tmp_path / "train.sdp", content)
        assert matches(expected, train("syntactic_then_semantic/spigot.jsonnet"))

    @pytest.mark.parametrize("content, expected", COMPANIONS.values(), ids=COMPANIONS)
    def test_companion(self, train, tmp_path, content, expected):
        self.write(tmp_path / "train.conllu", content)
        assert matches(expected, train("syntactic_then_semantic/spigot.jsonnet"))

    @pytest.mark.parametrize("content, expected", VECTORS.values(), ids=VECTORS)
    def test_vectors(self, train, tmp_path, content, expected):
        self.write(tmp_path / "glove.txt.gz", content)
        assert matches(expected, train("syntactic_then_semantic/spigot.jsonnet"))

    @pytest.mark.parametrize("content, expected", SENTIMENTS)
    def test_sentiment(self, train, tmp_path, content, expected):
        self.write(tmp_path / "sentiment.txt", content)
        assert matches(expected, train("semantic_then_sentiment/no_structure.jsonnet"))

    def test_a_variable_that_is_not_set(self, train, monkeypatch):
        monkeypatch.delenv("SPIGOT_TRAIN")
        expected = "base.libsonnet: … : expected the environment variable SPIGOT_TRAIN to be set"
        assert matches(expected, train("syntactic_then_semantic/spigot.jsonnet"))

    def test_an_empty_variable(self, train, monkeypatch):
        monkeypatch.setenv("SPIGOT_TRAIN", "")
        expected = "expected the path of a file of data, found an empty one"
        assert train("syntactic_then_semantic/spigot.jsonnet") == expected

    @pytest.mark.parametrize("content, expected", [(None, "file … not found"), (b"x", "is neither a directory nor an")])
    def test_pretrained_parser(self, train, tmp_path, content, expected):
        self.write(tmp_path / "model.tar.gz", content)
        assert matches(expected, train("semantic_then_sentiment/spigot.jsonnet"))


class TestConfig:
    @pytest.fixture
    def train(self, allennlp, tmp_path):
        def train(config: Path, *options) -> str:
            explanation = allennlp("train", config, "-s", tmp_path / "output", *options)
            assert not (tmp_path / "output").exists()
            return explanation

        return train

    @pytest.mark.parametrize("config, settings, expected", SETTINGS)
    def test_a_setting(self, train, config, settings, expected):
        assert matches(expected, train(FIXTURES_ROOT / config, "--overrides", json.dumps(settings)))

    @pytest.mark.parametrize("config, settings, expected", LATE_SETTINGS)
    def test_a_setting_that_is_told_late(self, allennlp, tmp_path, config, settings, expected):
        arguments = ("train", FIXTURES_ROOT / config, "-s", tmp_path / "output", "--overrides", json.dumps(settings))
        assert matches(expected, allennlp(*arguments))
        assert (tmp_path / "output" / "out.log").exists()

    @pytest.mark.parametrize("key", ["dataset_reader", "train_data_path", "model", "data_loader", "trainer"])
    def test_a_missing_key(self, train, tmp_path, key):
        config = tmp_path / "config.jsonnet"
        whole = FIXTURES_ROOT / PARSER
        config.write_text(f"local c = import '{whole}'; {{ [k]: c[k] for k in std.objectFields(c) if k != '{key}' }}")
        assert train(config) == f'key "{key}" is required'

    @pytest.mark.parametrize("content, expected", CONFIGS)
    def test_a_file_that_is_no_config(self, train, tmp_path, content, expected):
        if content is not None:
            (tmp_path / "config.jsonnet").write_bytes(content)
        assert matches(expected, train(tmp_path / "config.jsonnet"))

    def test_overrides_that_are_no_json(self, train):
        assert matches("1:3: expected token OPERATOR", train(FIXTURES_ROOT / PARSER, "--overrides", "{a"))

    def test_a_vocabulary_without_labels(self, train, parser_archive):
        with tarfile.open(parser_archive) as archive:
            archive.extractall(parser_archive.parent / "extracted")
        folder = parser_archive.parent / "extracted" / "vocabulary"
        for namespace in ("graph_labels", "head_tags"):
            (folder / f"{namespace}.txt").write_text("")
        settings = {"vocabulary": {**FILES, "directory": str(folder)}}
        labels = {"model.label_feedforward": {"num_layers": 1, "hidden_dims": 4, "activations": "relu"}}
        for config, more, namespace in ((PARSER, {}, "graph_labels"), (TREES, labels, "head_tags")):
            explanation = train(FIXTURES_ROOT / config, "--overrides", json.dumps({**settings, **more}))
            assert matches(f"the vocabulary has no {namespace}", explanation)


@pytest.mark.usefixtures("quick_model_processes")
class TestArchive:
    @pytest.fixture(scope="class")
    @classmethod
    def foreign(cls, tmp_path_factory):
        """An archive of one of the framework's own models."""
        folder = tmp_path_factory.mktemp("foreign")
        (folder / "data.jsonl").write_text('{"text": "a b", "label": "x"}\n{"text": "b", "label": "y"}\n')
        config = {
            "dataset_reader": {"type": "text_classification_json", "tokenizer": "just_spaces"},
            "train_data_path": str(folder / "data.jsonl"),
            "model": {
                "type": "basic_classifier",
                "text_field_embedder": {"token_embedders": {"tokens": {"type": "embedding", "embedding_dim": 2}}},
                "seq2vec_encoder": {"type": "bag_of_embeddings", "embedding_dim": 2},
            },
            "data_loader": {"batch_size": 2},
            "trainer": {"num_epochs": 1, "optimizer": "adam", "enable_default_callbacks": False},
        }
        (folder / "config.json").write_text(json.dumps(config))
        train_model_from_file(folder / "config.json", folder / "output")
        return folder / "output" / "model.tar.gz"

    @staticmethod
    def run(allennlp, command: str, archive: Path, folder: Path) -> str:
        (folder / "input.jsonl").write_bytes(LINE)
        explanation = allennlp(
            *(part.replace("{archive}", str(archive)).replace("{folder}", str(folder)) for part in COMMANDS[command])
        )
        assert {path.name for path in folder.iterdir()} <= {"input.jsonl", "model.tar.gz"}
        return explanation

    @staticmethod
    def write(archive: Path, fault, good: Path) -> None:
        if fault is None:
            return
        if fault == "folder":
            archive.mkdir()
        elif isinstance(fault, bytes):
            archive.write_bytes(fault)
        elif fault == "truncated":
            archive.write_bytes(good.read_bytes()[:3000])
        else:
            name, change = fault if isinstance(fault, tuple) else (fault, None)
            with tarfile.open(good) as source, tarfile.open(archive, "w:gz") as target:
                for member in filter(tarfile.TarInfo.isfile, source.getmembers()):
                    content = source.extractfile(member).read()
                    if member.name.startswith(name):
                        if change is None:
                            continue
                        content = change(content)
                        member.size = len(content)
                    target.addfile(member, io.BytesIO(content))

    @pytest.mark.parametrize("command", COMMANDS)
    @pytest.mark.parametrize("fault, expected", ARCHIVES.values(), ids=ARCHIVES)
    def test_a_broken_archive(self, allennlp, parser_archive, tmp_path, command, fault, expected):
        if command == "serve":
            pytest.importorskip("uvicorn", reason="needs the extra `serve`")
        archive = tmp_path / "model.tar.gz"
        self.write(archive, fault, parser_archive)
        assert matches(expected, self.run(allennlp, command, archive, tmp_path))

    @pytest.mark.parametrize(
        "command, expected",
        [
            ("draw", "expected a model of spigot_allennlp, found BasicClassifier"),
            ("serve", "expected a predictor of spigot_allennlp, found TextClassifierPredictor"),
            ("pretrained", "model.tar.gz holds no DependencyParser"),
        ],
    )
    def test_an_archive_of_another_package(self, allennlp, foreign, tmp_path, command, expected):
        if command == "serve":
            pytest.importorskip("uvicorn", reason="needs the extra `serve`")
        assert matches(expected, self.run(allennlp, command, foreign, tmp_path))


class TestInput:
    """What a whole archive is given."""

    @pytest.mark.parametrize("content, expected", LINES)
    def test_lines_to_predict(self, allennlp, parser_archive, tmp_path, content, expected):
        TestEnvironment.write(tmp_path / "input.jsonl", content)
        assert matches(expected, allennlp("predict", parser_archive, tmp_path / "input.jsonl", "--batch-size", 1))

    def test_a_truncated_file_to_predict(self, allennlp, parser_archive, tmp_path):
        (tmp_path / "input.gz").write_bytes(gzip.compress(LINE * 99)[:-9])
        assert matches("input.gz: Compressed file ended", allennlp("predict", parser_archive, tmp_path / "input.gz"))

    @pytest.mark.parametrize("options, expected", OPTIONS)
    def test_options_of_predict(self, allennlp, parser_archive, tmp_path, options, expected):
        (tmp_path / "input.jsonl").write_bytes(LINE)
        (tmp_path / "input.conllu").write_bytes(CONLLU)
        assert matches(expected, allennlp("predict", parser_archive, tmp_path / "input.jsonl", *options))

    @pytest.mark.parametrize("path, expected", EVALUATED)
    def test_data_to_evaluate(self, allennlp, parser_archive, path, expected):
        assert matches(expected, allennlp("evaluate", parser_archive, path))

    @pytest.mark.parametrize("options, expected", EVALUATE_OPTIONS)
    def test_options_of_evaluate(self, allennlp, parser_archive, options, expected):
        assert matches(expected, allennlp("evaluate", parser_archive, "fixtures/toy/toy.sdp", *options))

    def test_a_disk_that_is_full(self, allennlp, parser_archive, tmp_path):
        (tmp_path / "input.jsonl").write_bytes(LINE)
        explanation = allennlp("predict", parser_archive, tmp_path / "input.jsonl", "--output-file", "/dev/full")
        assert explanation == "/dev/full: No space left on device"

    def test_one_path_for_two_tasks(self, allennlp, tmp_path):
        train_model_from_file(FIXTURES_ROOT / SENTIMENT, tmp_path / "output")
        explanation = allennlp("evaluate", tmp_path / "output" / "model.tar.gz", "fixtures/sentiment/dev.txt")
        assert matches(
            'expected a path for each task, {"graphs": "…", "sentiment": "…"}, found \'fixtures/', explanation
        )


class TestByteOrderMark:
    """Some editors put it there; it is no fault."""

    def test_it_is_left_out(self, allennlp, parser_archive, tmp_path, monkeypatch):
        (tmp_path / "dev.sdp").write_bytes(b"\xef\xbb\xbf" + SDP)
        (tmp_path / "dev.conllu").write_bytes(b"\xef\xbb\xbf" + CONLLU)
        (tmp_path / "input.jsonl").write_bytes(b"\xef\xbb\xbf" + LINE)
        for command in (
            ["evaluate", str(parser_archive), str(tmp_path / "dev.sdp")],
            ["predict", str(parser_archive), str(tmp_path / "input.jsonl")],
        ):
            monkeypatch.setattr(sys, "argv", ["allennlp", *command])
            main()
