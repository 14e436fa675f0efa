"""The page in a browser without a window, for tests that use it."""

import pytest

from tests import PATIENCE

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
playwright.expect.set_options(timeout=1000 * PATIENCE)

EXAMPLES = [{"sentence": "Anna wants to sing."}, {"tokens": ["So", "do", "I"], "tags": ["RB", "VBP", "PRP"]}]
DESCRIPTION = {
    "archive": "demo/model.tar.gz",
    "model": "spigot_syntactic_then_semantic",
    "method": "spigot",
    "options": {"step_size": 1.0},
    "structure": {"type": "projective_tree", "single_root": True},
    "label_names": {"1": "positive"},
    "examples": EXAMPLES,
}


def parse(page, text):
    page.fill("#text", text)
    page.click("#submit")
    playwright.expect(page.locator("#status")).to_have_text("Parsed.")
    page.wait_for_selector(".picture svg")


def forms(page):
    return page.locator(".picture .form").all_text_contents()


def arcs(page):
    """The label, the kind and the two words of each arc."""
    return page.evaluate(
        "[...document.querySelectorAll('.arc')].map(arc => [arc.querySelector('.label')?.textContent ?? '',"
        " arc.classList[1], Number(arc.dataset.source), Number(arc.dataset.target)])"
    )
