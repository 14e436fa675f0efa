import json
import os
import subprocess
import sys

import pytest

from spigot_allennlp.framework.bad_input.command import Command
from spigot_allennlp.framework.output_file import OutputFile, output_file
from tests.programs import ROOT


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.jsonl"


def names(path):
    return sorted(file.name for file in path.parent.iterdir())


def test_it_has_its_name_when_it_is_whole(path):
    file = OutputFile(path)
    with path.open("w") as opened:
        file.begin()
        opened.write("a\n")
        file.begin()
        assert names(path) == ["out.jsonl.partial"]
        opened.write("b\n")
    file.end(is_whole=True)
    assert names(path) == ["out.jsonl"] and path.read_text() == "a\nb\n"


def test_what_is_not_whole_is_partial(path):
    file = OutputFile(path)
    with path.open("w") as opened:
        file.begin()
        opened.write("a\n")
    file.end(is_whole=False)
    assert names(path) == ["out.jsonl.partial"] and path.with_name("out.jsonl.partial").read_text() == "a\n"


def test_of_what_is_not_begun_nothing_stays(path):
    path.touch()
    OutputFile(path).end(is_whole=False)
    assert names(path) == []


def test_an_earlier_file_that_could_not_be_opened_stays(path):
    path.write_text("earlier")
    OutputFile(path).end(is_whole=False)
    assert path.read_text() == "earlier"


def test_without_predictions_it_is_empty_and_whole(path):
    path.touch()
    OutputFile(path).end(is_whole=True)
    assert names(path) == ["out.jsonl"]


def test_a_link_stays_a_link(path):
    path.symlink_to("target.jsonl")
    file = OutputFile(path)
    with path.open("w"):
        file.begin()
        assert names(path) == ["out.jsonl", "target.jsonl.partial"]
    file.end(is_whole=True)
    assert path.is_symlink() and names(path) == ["out.jsonl", "target.jsonl"]


def test_what_is_no_file_stays_as_it_is():
    file = OutputFile("/dev/null")
    file.begin()
    file.end(is_whole=True)
    assert os.path.exists("/dev/null") and not os.path.exists("/dev/null.partial")


@pytest.mark.parametrize(
    "arguments", [["predict", "model", "input"], ["evaluate", "model", "input", "--output-file", "x"], None]
)
def test_other_programs_have_none(monkeypatch, arguments):
    command = None if arguments is None else Command(arguments)
    monkeypatch.setattr("spigot_allennlp.framework.output_file.running_command", lambda: command)
    assert output_file() is None


@pytest.mark.slow
def test_a_program_that_fails_and_one_that_does_not(parser_archive, path):
    """In interpreters that end, as no other test does."""
    good = json.dumps({"tokens": ["a"], "tags": ["b"], "lemmas": ["c"]})
    source = path.with_name("in.jsonl")
    for lines, status, expected in (([good, "{"], 1, "out.jsonl.partial"), ([good] * 2, 0, "out.jsonl")):
        source.write_text("\n".join(lines))
        command = [
            sys.executable,
            "-m",
            "allennlp",
            "predict",
            parser_archive,
            source,
            "--output-file",
            path,
            "--silent",
        ]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert ended.returncode == status, ended.stderr
        (written,) = (file for file in path.parent.iterdir() if file != source)
        assert written.name == expected and len(written.read_text().splitlines()) == 2 - status
