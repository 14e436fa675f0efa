"""The page: what a user changes in a result, compares it with and keeps of it."""

import json
import time
from xml.etree import ElementTree

import pytest

from tests import PATIENCE
from tests.chromium import needs_chromium
from tests.server.echo import EchoPredictor
from tests.server.pages import DESCRIPTION, arcs, forms, parse, playwright
from tests.server.serving import serving

pytestmark = [pytest.mark.slow, needs_chromium]

CONLLU = "".join(
    f"{i}\t{word}\t{word}\t_\tX\t_\t{head}\tx\t_\t_\n" for i, word, head in [(1, "Anna", 2), (2, "sings", 0)]
)


def hold_changes(page, what="forbidden_arcs"):
    """From now on, the requests that say this are only listed."""
    held = []
    page.route(
        "**/predict_batch",
        lambda route: held.append(route) if what in route.request.post_data else route.continue_(),
    )
    return held


def change_head(page, index, head):
    page.locator(".word").nth(index).click()
    page.locator("select.head").select_option(str(head))


def wait_for(page, condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        page.wait_for_timeout(10)


class TestChanging:
    def test_a_head_is_kept_and_forbidden_and_what_changes_is_shown(self, open_page):
        page = open_page()
        parse(page, "a b c")
        point = page.locator(".arc .line").first.evaluate(
            "line => (({x, y}) => ({x, y}))(line.getPointAtLength(line.getTotalLength() / 2))"
        )
        page.locator(".picture svg").click(position={"x": point["x"], "y": point["y"] + 3})  # near the line
        playwright.expect(page.locator(".about")).to_contain_text("b (75 %)")
        page.get_by_role("button", name="Forbid this head").click()
        playwright.expect(page.locator(".about")).to_contain_text("Forbidden")
        playwright.expect(page.locator(".legend").first).to_contain_text("as before")
        playwright.expect(page.locator(".missed")).to_have_count(1)
        assert ["\u2212", "missed", 2, 1] in arcs(page)
        page.locator("select.head").select_option("3")
        playwright.expect(page.locator(".about")).to_contain_text("Kept")
        playwright.expect(page.locator(".spurious")).to_have_count(1)
        assert ["+", "spurious", 3, 1] in arcs(page)
        page.get_by_role("button", name="Free all heads").click()
        playwright.expect(page.locator(".legend")).to_have_count(0)
        assert page.get_by_role("button", name="Free all heads").is_hidden()

    def test_a_quick_change_does_not_lose_the_one_before(self, open_page):
        page = open_page()
        parse(page, "a b c")
        held = hold_changes(page)
        change_head(page, 0, 3)
        page.locator(".word").nth(1).click()
        page.get_by_role("button", name="Forbid this head").click()
        wait_for(page, lambda: len(held) == 2)
        page.locator(".word").nth(0).click()
        assert page.locator("select.head").input_value() == "3"  # though no answer has come
        held[1].continue_()
        playwright.expect(page.locator(".about")).to_contain_text("Kept")
        (asked,) = json.loads(held[1].request.post_data)
        assert asked["heads"] == [3, None, None] and asked["forbidden_arcs"] == [[2, 3]]
        page.locator(".word").nth(1).click()
        playwright.expect(page.locator(".about")).to_contain_text("Forbidden")

    def test_a_change_that_fails_is_not_wanted_any_more(self, open_page):
        page = open_page()
        parse(page, "a b c")
        held = hold_changes(page)
        change_head(page, 0, 3)
        wait_for(page, lambda: held)
        held[0].fulfill(status=503, json={"error": "too busy"})
        playwright.expect(page.locator(".fault")).to_have_text("too busy")
        assert page.locator("select.head").input_value() == ""
        change_head(page, 1, 1)
        wait_for(page, lambda: len(held) == 2)
        assert json.loads(held[1].request.post_data)[0]["heads"] == [None, 1, None]

    def test_counting_words_does_not_end_a_change(self, open_page):
        page = open_page()
        parse(page, "a b c")
        held = hold_changes(page)
        change_head(page, 0, 3)
        wait_for(page, lambda: held)
        button, last = page.get_by_role("button", name="Which words count?"), page.locator(".box").last
        button.click()
        playwright.expect(last).to_have_attribute("fill-opacity", "0.5")
        held[0].continue_()
        playwright.expect(page.locator(".about")).to_contain_text("Kept")
        playwright.expect(last).to_have_attribute("fill-opacity", "0")
        assert button.get_attribute("aria-pressed") == "false"  # as it was of the tree before

    def test_what_counted_before_a_change_is_not_shown_after_it(self, open_page):
        page = open_page()
        parse(page, "a b c")
        held = hold_changes(page, "saliency")
        button = page.get_by_role("button", name="Which words count?")
        button.click()
        wait_for(page, lambda: held)
        page.locator(".word").nth(0).click()
        with page.expect_event("requestfailed"):  # which is given up
            page.locator("select.head").select_option("3")
        playwright.expect(page.locator(".about")).to_contain_text("Kept")
        assert button.get_attribute("aria-pressed") == "false" and page.locator(".fault").inner_text() == ""

    def test_tokens_and_tags_can_be_edited(self, open_page):
        page = open_page()
        parse(page, "a b c")
        page.get_by_text("Tokens and tags", exact=True).click()
        page.get_by_label("Token 2").fill("new word")
        page.get_by_label("Tag 2").fill("NN")
        page.get_by_label("Token 3").fill("")
        page.get_by_role("button", name="Parse these tokens").click()
        playwright.expect(page.locator(".picture .form")).to_have_count(2)
        assert forms(page) == ["a", "new word"]
        assert json.loads(page.locator("#json").text_content())["tags"] == ["X", "NN"]
        rows = "rows => rows.map(row => [...row.querySelectorAll('input')].map(input => input.value))"
        # The table is of what was parsed. A column with a gap is the tagger's.
        assert page.locator(".sentence tbody tr").evaluate_all(rows) == [["a", "X", "a"], ["new word", "NN", "b"]]

    def test_another_tag_is_compared_with_the_one_before_and_keeps_what_is_forbidden(self, open_page):
        page = open_page()
        parse(page, "a b c")
        page.locator(".word").nth(0).click()
        page.get_by_role("button", name="Forbid this head").click()
        playwright.expect(page.locator(".about")).to_contain_text("Forbidden")
        page.get_by_text("Tokens and tags", exact=True).click()
        page.get_by_label("Tag 2").fill("NN")
        with page.expect_request("**/predict_batch") as asked:
            page.get_by_role("button", name="Parse these tokens").click()
        (asked,) = json.loads(asked.value.post_data)
        assert asked["tags"] == ["X", "NN", "X"] and asked["forbidden_arcs"] == [[1, 2]]
        playwright.expect(page.locator("#json")).to_contain_text("NN")
        page.get_by_role("button", name="Free all heads").click()
        playwright.expect(page.locator("figcaption")).to_have_text("As before the change: 3 of 3 heads, 1 of 1 arcs")
        assert json.loads(page.locator("#json").text_content())["tags"] == ["X", "NN", "X"]

    def test_gold_is_compared(self, open_page):
        page = open_page("/?text=So+do+I")
        page.wait_for_selector(".picture svg")
        page.get_by_text("Sentences with gold trees or graphs").click()
        page.fill("#gold-text", CONLLU)
        page.click("#gold-parse")
        playwright.expect(page.locator("#status")).to_have_text("Parsed.")
        playwright.expect(page.locator(".legend").first).to_contain_text("predicted and gold")
        assert page.input_value("#compare") == "gold"
        assert page.locator("figcaption").inner_text() == "As in gold: 2 of 2 heads"
        assert page.url.endswith("/") and page.locator("#permalink").is_hidden()  # there is none to gold
        page.select_option("#compare", "")
        playwright.expect(page.locator(".legend")).to_have_count(0)
        page.fill("#gold-text", "1\tAnna\n")
        page.click("#gold-parse")
        playwright.expect(page.locator("#error")).to_contain_text("the text, line 1: expected 10 columns, found 2")

    def test_downloads(self, open_page):
        page = open_page()
        parse(page, "Anna sings")
        contents = {}
        for name, file in [
            ("JSON", "sentences.jsonl"),
            ("CoNLL-U", "sentences.conllu"),
            ("SDP", "sentences.sdp"),
            ("SVG", "picture.svg"),
        ]:
            with page.expect_download() as download:
                page.get_by_role("button", name=name, exact=True).click()
            assert download.value.suggested_filename == file
            contents[name] = download.value.path().read_text(encoding="utf-8")
        assert json.loads(contents["JSON"])["tokens"] == ["Anna", "sings"]
        assert "1\tAnna\tAnna\t_\tX\t_\t2\t_\t" in contents["CoNLL-U"]
        assert contents["SDP"].startswith("#SDP 2015\n") and "ARG0" in contents["SDP"]
        assert contents["SVG"].startswith("<svg")

    def test_two_archives_are_compared(self, open_page):
        other = EchoPredictor()
        other.predict_batch_instance = lambda instances: [
            {**output, "arcs": [[1, 2, "NEW"]]} for output in EchoPredictor.predict_batch_instance(other, instances)
        ]
        with serving(EchoPredictor(), other, description=DESCRIPTION) as address:
            page = open_page(address=address)
            parse(page, "Anna sings")
            playwright.expect(page.locator(".picture")).to_have_count(2)
            kinds = "[...document.querySelectorAll('.picture')].map(one => [...one.querySelectorAll('.arc')].map(arc =>"
            drawn = page.evaluate(f"{kinds} arc.classList[1]))")
            assert drawn == [["both", "spurious"], ["both", "spurious"]]
            assert page.locator(".arc .label").all_text_contents()[-1] == "+NEW"
            caption = page.locator("figcaption").last.inner_text()
            assert caption.endswith("as the other has it: 2 of 2 heads, 0 of 1 arcs")
            page.locator(".word").nth(1).click()
            first, second = page.locator(".about dl").all_inner_texts()
            assert "ARG0" in first and "ARG0" not in second and "NEW" in second
            asked = []
            page.on("request", lambda request: asked.append(request.url) if "predict" in request.url else None)
            page.get_by_role("button", name="Which words count?").click()
            playwright.expect(page.locator(".box").last).to_have_attribute("fill-opacity", "0.5")
            assert len(set(asked)) == 2  # each of its own
            with page.expect_download() as download:
                page.get_by_role("button", name="SVG", exact=True).click()
            picture = ElementTree.parse(download.value.path()).getroot()
            first, second = picture  # below each other
            assert picture.tag == first.tag == second.tag == "{http://www.w3.org/2000/svg}svg"
            assert float(second.get("y")) == float(first.get("height"))
            assert float(picture.get("height")) == float(first.get("height")) + float(second.get("height"))
            assert "+NEW" in "".join(second.itertext()) and "+NEW" not in "".join(first.itertext())
            page.select_option("#compare", "")
            playwright.expect(page.locator(".picture")).to_have_count(1)
            page.close()
