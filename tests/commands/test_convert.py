import io
import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from allennlp.commands import main
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.data.format_error import FormatError
from tests import FIXTURES_ROOT

TOY = FIXTURES_ROOT / "toy" / "toy.sdp"


@pytest.fixture
def spigot_convert(monkeypatch):
    def run(*options):
        monkeypatch.setattr("sys.argv", ["allennlp", "spigot-convert", *map(str, options)])
        main()

    return run


def test_formats_are_those_of_the_names(spigot_convert, tmp_path, capsys):
    paths = [TOY, *(tmp_path / name for name in ("toy.conllu", "toy.mrp", "toy.jsonl", "toy.sdp"))]
    for source, target in pairwise(paths):
        spigot_convert(source, target)
    assert paths[-1].read_bytes() == TOY.read_bytes()
    assert capsys.readouterr().err.count("converted 10 sentences; dropped: ") == 4
    assert sorted(tmp_path.iterdir()) == sorted(paths[1:])


def test_standard_input_and_output(spigot_convert, monkeypatch, capfdbinary):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TOY.read_bytes())))
    spigot_convert("-", "-", "--from", "sdp", "--to", "sdp")
    assert capfdbinary.readouterr().out == TOY.read_bytes()


def test_a_file_may_be_converted_to_itself(spigot_convert, tmp_path):
    path = tmp_path / "toy.sdp"
    path.write_bytes(TOY.read_bytes())
    spigot_convert(path, path)
    assert path.read_bytes() == TOY.read_bytes()


def test_nothing_is_written_but_the_whole(spigot_convert, tmp_path):
    (tmp_path / "late.sdp").write_text(TOY.read_text() + "1\ta\tb\n\n")
    (tmp_path / "late.conllu").write_text("as it was")
    with pytest.raises(FormatError, match=r"late\.sdp, line 73"):
        spigot_convert(tmp_path / "late.sdp", tmp_path / "late.conllu")
    assert (tmp_path / "late.conllu").read_text() == "as it was"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "options, message",
    [
        (["toy.txt", "toy.sdp"], "named .*, or --from, found toy.txt"),
        ([str(TOY), "-"], "or --to, found -"),
        ([str(TOY), "nowhere/toy.sdp"], "a file to write in an existing folder, found nowhere/toy.sdp"),
    ],
)
def test_what_is_wrong_is_said(spigot_convert, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        spigot_convert(*options)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there(spigot_convert, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        spigot_convert(tmp_path / "none.sdp", tmp_path / "toy.conllu")
    assert "none.sdp" in caught.value.explanation
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_written_to_and_stays(spigot_convert):
    spigot_convert(TOY, "/dev/null", "--to", "json")
    assert Path("/dev/null").is_char_device()


def test_a_link_stays_one(spigot_convert, tmp_path):
    (tmp_path / "link.sdp").symlink_to(tmp_path / "file.sdp")
    spigot_convert(TOY, tmp_path / "link.sdp")
    assert (tmp_path / "link.sdp").is_symlink() and (tmp_path / "file.sdp").read_bytes() == TOY.read_bytes()


def test_errors_among_the_sentences_of_a_text_are_left_out(spigot_convert, tmp_path, capsys):
    sentence = {"tokens": ["Hi"], "arcs": [], "tops": []}
    lines = [{"sentences": [sentence, {"error": "too long"}]}, {"error": "no JSON"}]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    spigot_convert(tmp_path / "x.jsonl", tmp_path / "x.conllu")
    assert (tmp_path / "x.conllu").read_text().count("\tHi\t") == 1
    assert "lines that are an error (2)" in capsys.readouterr().err
    (tmp_path / "y.jsonl").write_text('{"sentences": 5}\n')
    with pytest.raises(FormatError, match="line 1: expected 'sentences' to be a list"):
        spigot_convert(tmp_path / "y.jsonl", tmp_path / "y.conllu")


def test_partial_trees(spigot_convert, tmp_path):
    text = "".join(f"{i}\tw\tw\t_\tN\t_\t{head}\t_\t_\t_\n" for i, head in ((1, "_"), (2, "1"))) + "\n"
    (tmp_path / "x.conllu").write_text(text)
    spigot_convert(tmp_path / "x.conllu", tmp_path / "x.jsonl")
    spigot_convert(tmp_path / "x.jsonl", tmp_path / "y.conllu")
    assert (tmp_path / "y.conllu").read_text() == text
