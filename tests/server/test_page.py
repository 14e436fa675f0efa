"""The page in a browser without a window."""

import shutil

import pytest

from tests import PATIENCE
from tests.server.echo import EchoPredictor
from tests.server.serving import serving

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which no package on PyPI brings"),
]

NASTY = "<b>Anna</b> <img/src=x/onerror=document.title='caught'> &amp; sings"


@pytest.fixture(scope="module")
def url():
    with serving(EchoPredictor()) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, url):
    """Opens the page in a browser of its own; whatever is asked of other addresses or goes wrong is an error."""
    contexts, faults = [], []

    def open_page(path="/", **options):
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(1000 * PATIENCE)
        page = contexts[-1].new_page()
        page.on("request", lambda request: faults.append(request.url) if not request.url.startswith(url) else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
        page.goto(url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [fault for fault in faults if not fault.startswith("data:")] == []


def words(page):
    return page.locator("#picture .displacy-word").all_text_contents()


def test_a_sentence_has_a_tree_and_a_graph_and_needs_no_mouse(open_page):
    page = open_page()
    page.keyboard.type("Anna wants singing")  # the field has the focus
    page.keyboard.press("Enter")
    page.wait_for_selector("#picture svg")
    assert words(page)[:3] == ["Anna", "wants", "singing"]
    assert page.get_by_role("radio", name="Tree").is_checked()
    assert "Anna: modifier of wants" in page.locator("#picture").get_attribute("aria-label")
    page.get_by_role("radio", name="Tree").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="Graph").is_checked()
    assert "Anna: ARG0 of singing. Tops: singing." in page.locator("#picture").get_attribute("aria-label")
    assert "ARG0" in page.locator("#picture").text_content()
    assert page.locator("#status").inner_text() == "Parsed."


def test_an_example_is_a_click_away_and_the_choice_is_kept(open_page):
    page = open_page()
    json = page.locator("#json")
    for example in page.locator("#examples button").all():
        example.click()
        playwright.expect(json).to_contain_text(example.inner_text().split()[-1])
        assert page.input_value("#sentence") == example.inner_text()
    page.get_by_role("radio", name="Graph").check()
    first = page.locator("#examples button").first
    first.click()
    playwright.expect(json).to_contain_text(first.inner_text().split()[-1])
    assert page.get_by_role("radio", name="Graph").is_checked()


def test_errors_are_told_in_words(open_page):
    page = open_page()
    page.fill("#sentence", "fail")
    page.click("#submit")
    alert = page.get_by_role("alert")
    playwright.expect(alert).to_contain_text("internal error (request ")
    assert page.locator("#result").is_hidden()
    page.fill("#sentence", "a " * 300)
    page.click("#submit")
    playwright.expect(alert).to_contain_text("expected at most 200 tokens in a sentence, found 300")
    page.fill("#sentence", "a")
    page.click("#submit")
    playwright.expect(alert).to_be_empty()
    page.context.set_offline(True)
    page.click("#submit")
    playwright.expect(alert).to_have_text("The server cannot be reached.")


def test_what_is_typed_is_never_markup(open_page):
    page = open_page()
    page.fill("#sentence", NASTY)
    page.click("#submit")
    page.wait_for_selector("#picture svg")
    assert words(page)[: len(NASTY.split())] == NASTY.split()
    assert page.locator("#picture img, #picture b").count() == 0
    assert page.title() == "spigot_allennlp"


def test_a_label_is_shown_and_a_graph_alone_has_no_tree_to_choose(open_page):
    def classify(route):
        answer = route.fetch().json()
        del answer["heads"], answer["pictures"]["tree"]
        route.fulfill(json={**answer, "label": "good", "probabilities": {"good": 0.9, "bad": 0.1}})

    page = open_page()
    page.route("**/predict?pictures=true", classify)
    page.fill("#sentence", "Anna sings")
    page.click("#submit")
    page.wait_for_selector("#picture svg")
    assert page.get_by_role("radio", name="Tree").is_disabled() and page.get_by_role("radio", name="Graph").is_checked()
    assert page.locator("#label").inner_text() == "Label: good (90 %)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_has_the_colours_of_the_page(open_page, scheme):
    page = open_page(color_scheme=scheme)
    page.locator("#examples button").first.click()
    page.wait_for_selector("#picture svg")
    color, background = page.evaluate(
        "[getComputedStyle(document.querySelector('#picture svg')).color,"
        " getComputedStyle(document.body).backgroundColor].map(text => Number(text.match(/[0-9]+/)[0]))"
    )
    assert (color > 128 > background) if scheme == "dark" else (color < 128 < background)


def test_the_policy_allows_no_styles_in_markup_and_the_picture_needs_none(open_page):
    page = open_page()
    assert "unsafe" not in page.request.get(page.url).headers["content-security-policy"]
    page.locator("#examples button").first.click()
    page.wait_for_selector("#picture svg")
    sizes = page.evaluate(
        "[...document.querySelectorAll('#picture .displacy-arrow text')].map(text => getComputedStyle(text).fontSize)"
    )
    assert sizes and set(sizes) == {"12.8px"}  # 0.8em
    assert page.evaluate("getComputedStyle(document.querySelector('#picture svg')).fontFamily") == "sans-serif"


def test_on_a_phone_the_picture_scrolls_and_the_page_does_not(open_page):
    page = open_page(viewport={"width": 360, "height": 640}, is_mobile=True, has_touch=True)
    page.locator("#examples button").last.tap()
    page.wait_for_selector("#picture svg")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("document.querySelector('#picture').scrollWidth") > 360
    assert page.get_by_text("wider than the page").is_visible()
    assert page.locator("#submit").bounding_box()["height"] >= 44


def test_whether_it_scrolls_follows_the_width_of_the_page(open_page):
    page = open_page(viewport={"width": 400, "height": 800})
    hint = page.get_by_text("wider than the page")
    assert hint.is_hidden()
    page.locator("#examples button").first.click()
    hint.wait_for()
    page.set_viewport_size({"width": 1000, "height": 800})
    hint.wait_for(state="hidden")


def test_the_interface_is_shown_without_any_outside_address(open_page):
    page = open_page("/docs")
    page.wait_for_selector("text=/predict_batch")
