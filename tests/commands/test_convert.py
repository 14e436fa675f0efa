import io
import sys
from itertools import pairwise

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
