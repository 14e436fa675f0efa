import pytest

from tests import PATIENCE
from tests.chromium import browser  # noqa: F401  (a fixture)
from tests.server.echo import EchoPredictor


@pytest.fixture(scope="module")
def url():
    from tests.server.pages import DESCRIPTION
    from tests.server.serving import serving

    with serving(EchoPredictor(), description=DESCRIPTION) as url:
        yield url


@pytest.fixture
def open_page(browser, url):  # noqa: F811
    """Opens the page in a browser of its own; whatever is asked of other addresses or goes wrong is an error."""
    contexts, faults = [], []

    def open_page(path="/", address=url, **options):
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(1000 * PATIENCE)
        page = contexts[-1].new_page()
        page.on("request", lambda request: faults.append(request.url) if not request.url.startswith(address) else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
        page.goto(address + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [fault for fault in faults if not fault.startswith(("data:", "blob:"))] == []
