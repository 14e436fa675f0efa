from collections import Counter

import pytest

from spigot_allennlp.drawing import draw_tree
from spigot_allennlp.drawing.error_page import Sentence, write_error_page
from spigot_allennlp.drawing.errors import Error
from tests.chromium import browser, needs_chromium  # noqa: F401  (a fixture)

SENTENCES = [
    Sentence("one", [draw_tree(["a", "b"], [2, 0])], [Error("wrong head", "a: b, gold <i>")]),
    Sentence(
        "two", [draw_tree(["c", "d"], [2, 0])], [Error("wrong top", "c, gold"), Error("wrong top", "d, not gold")]
    ),
    Sentence("three", [draw_tree(["e", "f"], [2, 0])], [Error("wrong head", "e: f, gold"), Error("wrong top", "f")]),
    Sentence("four", failure="too <long>"),
]
COUNTS = Counter({"wrong head": 2, "wrong top": 3})


def test_what_is_written_is_no_markup():
    page = write_error_page("<file>", SENTENCES, COUNTS, {"UAS": 0.5})
    assert "<title>&lt;file&gt;</title>" in page and "gold &lt;i&gt;" in page and "four: too &lt;long&gt;" in page
    assert '<p id="figures">UAS 50.0</p>' in page


def test_without_errors_there_is_nothing_to_choose():
    assert 'id="controls"' not in write_error_page("file", [], Counter(), {})


@pytest.fixture
def page(browser, tmp_path):  # noqa: F811
    (tmp_path / "page.html").write_text(write_error_page("file", SENTENCES, COUNTS, {}), encoding="utf-8")
    page = browser.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.append(request.url) if not request.url.startswith("file:") else None)
    page.goto((tmp_path / "page.html").as_uri())
    yield page
    page.close()
    assert faults == []


def shown(page):
    captions = "all => all.filter(one => !one.hidden).map(one => one.querySelector('figcaption').textContent)"
    return page.eval_on_selector_all("figure", captions)


@pytest.mark.slow
@needs_chromium
class TestInABrowser:
    def test_errors_are_chosen_by_their_kind_and_their_words(self, page):
        assert shown(page) == ["one", "two", "three", "four: too <long>"]
        page.get_by_label("wrong top").uncheck()
        assert shown(page) == ["one", "three", "four: too <long>"]
        assert page.locator("#found").inner_text() == "3 of 4 sentences are shown."
        page.get_by_label("With the text").fill("E: F")
        assert shown(page) == ["three", "four: too <long>"]

    def test_sentences_are_sorted_by_their_errors(self, page):
        order = page.get_by_label("Sorted by")
        order.select_option("most")
        assert shown(page) == ["two", "three", "one", "four: too <long>"]
        order.select_option("kind")  # there are more wrong tops than heads
        assert shown(page) == ["two", "three", "one", "four: too <long>"]
        page.get_by_label("wrong top").uncheck()
        assert shown(page) == ["one", "three", "four: too <long>"]

    def test_words_light_up_their_arcs(self, page):
        page.locator(".word").first.hover()
        assert page.locator(".lit").count() == 1
