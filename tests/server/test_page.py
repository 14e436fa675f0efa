"""The page: what is asked, and what is to be seen."""

import pytest

from tests.chromium import needs_chromium
from tests.server.echo import EchoPredictor
from tests.server.pages import EXAMPLES, arcs, forms, parse, playwright
from tests.server.serving import serving

pytestmark = [pytest.mark.slow, needs_chromium]

NASTY = "<b>Anna</b> <img/src=x/onerror=document.title='caught'> &amp; sings"
LONG = " ".join(f"word{i}" for i in range(60))
ARABIC = (
    "\u0643\u062a\u0628 \u0627\u0644\u0648\u0644\u062f \u0631\u0633\u0627\u0644\u0629 \u0637\u0648\u064a\u0644\u0629"
)


class TestAsking:
    def test_a_sentence_has_a_tree_and_a_graph_and_needs_no_mouse(self, open_page):
        page = open_page()
        page.keyboard.type("Anna wants singing")  # the field has the focus
        page.keyboard.press("Enter")
        page.wait_for_selector(".picture svg")
        assert forms(page) == ["Anna", "wants", "singing"]
        assert page.get_by_role("radio", name="Both").is_checked()
        label = page.locator(".picture svg").get_attribute("aria-label")
        assert "wants \u2192 Anna, 0.75" in label and "ARG0: singing \u2192 Anna, 0.5" in label
        assert "root: singing" in label and "top: singing" in label
        page.get_by_role("radio", name="Both").focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("radio", name="Tree").is_checked()
        playwright.expect(page.locator(".arc[data-side=below]")).to_have_count(0)
        assert page.locator("#status").inner_text() == "Parsed."

    def test_an_example_is_a_click_away_and_the_choice_is_kept(self, open_page):
        page = open_page()
        for example, words in zip(EXAMPLES, (["Anna", "wants", "to", "sing."], ["So", "do", "I"]), strict=True):
            text = example.get("sentence") or " ".join(example["tokens"])
            page.get_by_role("button", name=text).click()
            playwright.expect(page.locator("#json")).to_contain_text(words[-1])
            assert page.input_value("#text") == text
        page.get_by_role("radio", name="Graph").check()
        page.locator("#examples button").first.click()
        playwright.expect(page.locator("#json")).to_contain_text("sing.")
        assert page.get_by_role("radio", name="Graph").is_checked()

    def test_errors_are_told_in_words(self, open_page):
        page = open_page()
        page.fill("#text", "fail")
        page.click("#submit")
        alert = page.locator("#error")
        playwright.expect(alert).to_contain_text("internal error (request ")
        assert page.locator("#result").is_hidden()
        page.check("#one")
        page.fill("#text", "a " * 300)
        page.click("#submit")
        playwright.expect(alert).to_contain_text("expected at most 200 tokens in a sentence, found 300")
        page.fill("#text", "a")
        page.click("#submit")
        playwright.expect(alert).to_be_empty()
        page.wait_for_selector(".picture svg")
        page.context.set_offline(True)
        page.click("#submit")
        playwright.expect(alert).to_have_text("The server cannot be reached.")

    def test_what_is_typed_is_never_markup(self, open_page):
        page = open_page()
        page.check("#one")
        parse(page, NASTY)
        assert forms(page) == NASTY.split()
        assert page.locator("#result img, #result b").count() == 0
        assert page.title() == "spigot_allennlp"

    def test_a_text_has_several_sentences(self, open_page):
        page = open_page()
        page.fill("#text", "Anna sings. So do I. Yes")
        page.click("#submit")
        playwright.expect(page.locator("#status")).to_have_text("Parsed 3 sentences.")
        playwright.expect(page.locator(".picture svg")).to_have_count(3)
        assert page.locator(".sentence .title").all_inner_texts() == ["Anna sings", "So do I", "Yes"]
        page.check("#one")
        page.click("#submit")
        playwright.expect(page.locator(".picture svg")).to_have_count(1)

    def test_the_address_says_what_is_parsed(self, open_page):
        page = open_page()
        parse(page, "Anna & I")
        assert page.url.endswith("?text=Anna+%26+I")
        assert page.locator("#permalink").get_attribute("href") == "?text=Anna+%26+I"
        other = open_page("/?text=Anna+%26+I&one=1")
        other.wait_for_selector(".picture svg")
        assert forms(other) == ["Anna", "&", "I"] and other.is_checked("#one")

    def test_a_model_that_is_being_loaded_is_waited_for(self, open_page):
        predictor = EchoPredictor()
        predictor.may_go_on.clear()
        with serving(predictor, wait_until_ready=False) as address:
            page = open_page(address=address)
            page.fill("#text", "Anna sings")
            page.click("#submit")
            playwright.expect(page.locator("#status")).to_have_text("The model is being loaded \u2026")
            predictor.may_go_on.set()
            playwright.expect(page.locator("#status")).to_have_text("Parsed.")
            page.close()


class TestStaleAnswers:
    def test_a_slow_answer_does_not_replace_a_later_one(self, open_page):
        page = open_page()
        held = []

        def hold(route):
            if "slow" in route.request.post_data:
                held.append(route)
            else:
                route.continue_()

        page.route("**/predict_batch", hold)
        page.fill("#text", "slow")
        page.click("#submit")
        playwright.expect(page.locator("#status")).to_have_text("Parsing \u2026")
        parse(page, "fast")
        assert len(held) == 1
        assert page.evaluate("1") == 1
        playwright.expect(page.locator("#result-title")).to_have_text("Result: fast")
        assert forms(page) == ["fast"] and page.locator("#error").inner_text() == ""

    def test_an_answer_that_nobody_waits_for_is_not_taken(self, open_page):
        page = open_page()
        found = page.evaluate(
            """async () => {
                const { Latest, Superseded } = await import("/static/requests.js");
                const latest = new Latest(), signals = [], release = [];
                const first = latest.run((signal) => {
                    signals.push(signal);
                    return new Promise((resolve) => release.push(resolve));
                });
                const second = latest.run(async () => "second");
                release[0]("first");  // although its signal said that it was to end
                const name = await first.catch((error) => error instanceof Superseded);
                return [signals[0].aborted, name, await second];
            }"""
        )
        assert found == [True, True, "second"]

    def test_the_result_fades_when_the_text_is_changed(self, open_page):
        page = open_page()
        parse(page, "Anna sings")
        assert page.locator("#stale").is_hidden()
        page.locator("#text").press_sequentially("!")
        assert page.locator("#stale").is_visible()
        assert "faded" in page.locator("#result").get_attribute("class")
        parse(page, "Anna sings!")
        assert page.locator("#stale").is_hidden()
        assert "faded" not in page.locator("#result").get_attribute("class")

    def test_that_there_is_no_answer_is_said(self, open_page):
        page = open_page("/health")
        page.route("**/model", lambda route: route.fulfill(json={"timeout": -1.5}))
        page.route("**/predict_batch", lambda route: None)
        page.goto(page.url.replace("/health", "/"))
        page.fill("#text", "Anna")
        page.click("#submit")
        playwright.expect(page.locator("#error")).to_have_text("No answer came within 0.5 seconds.")


class TestLooking:
    def test_the_model_is_named(self, open_page):
        page = open_page()
        model = page.locator("#model")
        for text in (
            "demo/model.tar.gz",
            "spigot (step_size 1)",
            "projective_tree (single_root true)",
            "1 is positive",
        ):
            playwright.expect(model).to_contain_text(text)

    def test_a_label_is_named_and_a_graph_alone_has_no_tree_to_choose(self, open_page):
        def classify(route):
            (answer,) = route.fetch().json()
            (output,) = answer["sentences"]
            del output["heads"]
            route.fulfill(json=[{**output, "label": "1", "probabilities": {"1": 0.9, "0": 0.1}}])

        page = open_page()
        page.route("**/predict_batch", classify)
        parse(page, "Anna sings")
        assert page.locator("#shown").is_hidden() and page.locator("#shown [value=graph]").is_checked()
        assert page.locator(".sentence .verdict").inner_text() == "Label: positive (1), 90 %"
        assert {side for side in page.eval_on_selector_all(".arc", "arcs => arcs.map(arc => arc.dataset.side)")} == {
            "above"
        }

    def test_a_mixture_is_shown_as_one(self, open_page):
        def mix(route):
            (answer,) = route.fetch().json()
            answer["sentences"][0]["arc_weights"] = [[1, 2, 0.6], [1, 0, 0.4], [2, 0, 0.9], [2, 1, 0.04], [2, 1, 0.1]]
            route.fulfill(json=[answer])

        page = open_page()
        page.route("**/predict_batch", mix)
        parse(page, "Anna sings")
        page.get_by_role("radio", name="Tree").check()
        weights = page.locator(".arc[data-side=above]")
        playwright.expect(weights).to_have_count(2)
        assert [weights.nth(i).get_attribute("data-weight") for i in range(2)] == ["0.6", "0.1"]
        assert page.locator(".mark").all_text_contents() == ["root", "root"]
        page.uncheck("#as-read")
        playwright.expect(weights).to_have_count(1)

    def test_next_best_heads_and_tags_are_there_when_they_are_wanted(self, open_page):
        page = open_page()
        parse(page, "a b c")
        assert page.locator(".tag, .possible").count() == 0
        page.check("#tags")
        playwright.expect(page.locator(".tag")).to_have_count(3)
        page.check("#next-heads")
        playwright.expect(page.locator(".possible")).to_have_count(2)
        assert page.locator(".possible .label").first.text_content() == "13 %"

    def test_a_word_lights_up_its_arcs(self, open_page):
        page = open_page()
        parse(page, "a b c d")
        words = page.locator(".word")
        words.nth(1).hover()
        assert [arc[2:] for arc in arcs(page)] == [[2, 1], [3, 2], [4, 3], [4, 1]]
        is_lit = "arcs => arcs.map(arc => arc.classList.contains('lit'))"
        assert page.eval_on_selector_all(".arc", is_lit) == [True, True, False, False]
        page.mouse.move(0, 0)
        assert page.locator(".lit").count() == 0
        words.first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("End")
        assert page.evaluate("document.activeElement.dataset.word") == "4"
        assert page.eval_on_selector_all(".arc", is_lit) == [False, False, True, True]
        page.keyboard.press("Enter")
        playwright.expect(page.locator(".about")).to_contain_text("ROOT (75 %)")
        playwright.expect(page.locator(".about")).to_contain_text("Next best")
        assert page.locator(".word[tabindex='0']").count() == 1

    def test_which_words_count(self, open_page):
        page = open_page()
        parse(page, "a b c")
        assert (
            page.eval_on_selector_all(".box", "all => all.map(box => Number(box.getAttribute('fill-opacity')))")
            == [0] * 3
        )
        button, last = page.get_by_role("button", name="Which words count?"), page.locator(".box").last
        button.click()
        playwright.expect(last).to_have_attribute("fill-opacity", "0.5")
        assert button.get_attribute("aria-pressed") == "true"
        button.click()
        playwright.expect(last).to_have_attribute("fill-opacity", "0")

    def test_whether_a_picture_scrolls_is_said(self, open_page):
        page = open_page(viewport={"width": 400, "height": 800})
        parse(page, "Anna sings")
        hint = page.get_by_text("wider than the page")
        assert hint.is_hidden()
        parse(page, "a" * 80)
        hint.wait_for()


class TestEverywhere:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_the_picture_has_the_colours_of_the_page(self, open_page, scheme):
        page = open_page(color_scheme=scheme)
        parse(page, "Anna sings")
        color, background = page.evaluate(
            "[getComputedStyle(document.querySelector('.picture svg')).color,"
            " getComputedStyle(document.body).backgroundColor].map(text => Number(text.match(/[0-9]+/)[0]))"
        )
        assert (color > 128 > background) if scheme == "dark" else (color < 128 < background)

    def test_the_policy_allows_no_styles_in_markup_and_the_picture_needs_none(self, open_page):
        page = open_page()
        assert "unsafe" not in page.request.get(page.url).headers["content-security-policy"]
        parse(page, "Anna sings")
        sizes = page.eval_on_selector_all(".arc .label", "all => all.map(text => getComputedStyle(text).fontSize)")
        assert sizes and set(sizes) == {"12px"}

    @pytest.mark.parametrize("width", [360, 320])  # a phone; 1280 pixels at 400 %
    def test_on_a_narrow_page_nothing_scrolls_sideways(self, open_page, width):
        page = open_page(viewport={"width": width, "height": 640}, is_mobile=True, has_touch=True)
        parse(page, LONG)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("(frame => frame.scrollWidth <= frame.clientWidth)(document.querySelector('.picture'))")
        assert page.get_by_text("wider than the page").is_hidden()
        assert page.locator("#submit").bounding_box()["height"] >= 44

    def test_a_picture_follows_the_width_of_the_page(self, open_page):
        page = open_page(viewport={"width": 1200, "height": 800})
        parse(page, LONG)
        picture = page.locator(".picture svg")
        width = picture.get_attribute("width")
        page.set_viewport_size({"width": 500, "height": 800})
        playwright.expect(picture).not_to_have_attribute("width", width)
        assert float(picture.get_attribute("width")) < 500 < float(width)

    @pytest.mark.parametrize("text", [LONG, ARABIC, "A \u6b4c Wwwwwwww iiiiiii \U0001f600 e\u0301 MMMM ____ @@@"])
    def test_letters_have_the_room_that_was_laid_out_for_them(self, open_page, text):
        page = open_page(viewport={"width": 900, "height": 800})
        parse(page, text)
        page.check("#tags")
        page.check("#next-heads")
        page.wait_for_selector(".possible")
        boxes = page.evaluate(
            "[...document.querySelectorAll('.picture text')].map(text => text.getBBox())"
            ".map(({x, y, width, height}) => [x, y + 2, x + width, y + height - 3])"
        )
        hits = [
            (one, other)
            for i, one in enumerate(boxes)
            for other in boxes[:i]
            if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
        ]
        assert len(boxes) > 10 and hits == []

    def test_the_interface_is_shown_without_any_outside_address(self, open_page):
        page = open_page("/docs")
        page.wait_for_selector("text=/predict_batch")
