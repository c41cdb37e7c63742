"""What the browser tests share: one server and one browser for each worker."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tools.site import ready, server, structure, visit
from tools.site.visit import Setting

LIGHT = Setting(visit.WIDE, "light")


def pytest_addoption(parser):
    """Let the nightly run have axe judge every page."""
    parser.addoption(
        "--axe-everywhere", action="store_true", help="have axe judge every element of every page"
    )


def pytest_generate_tests(metafunc):
    """Run a test that takes the name of a page on every page of the site."""
    if "every_page" in metafunc.fixturenames:
        try:
            names = ready.pages()
        except ready.MissingError:
            names = []  # what the session says before it comes here
        metafunc.parametrize("every_page", names)


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Serve the built site."""
    ready.pages()
    with server.serving(ready.SITE, ready.path()) as root:
        yield root


@pytest.fixture(scope="session")
def judged_by_axe(pytestconfig):
    """Name the pages that axe judges: some with every structure of the site, or all of them."""
    names = ready.pages()
    if pytestconfig.getoption("--axe-everywhere"):
        return set(names)
    pages = {name: (ready.SITE / name).read_text(encoding="utf-8") for name in names}
    return set(structure.representatives(pages))


@pytest.fixture(scope="session")
def browser():
    """Start Chromium."""
    with visit.chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def shared_tab(browser):
    """Open a tab, once: the process of a new one takes longer than most tests."""
    with visit.context(browser, LIGHT) as context:
        yield context.new_page()


@pytest.fixture
def tab(shared_tab):
    """Show the shared tab in a setting; the test leaves it empty."""

    def in_setting(setting=LIGHT):
        visit.prepare(shared_tab, setting)
        return shared_tab

    yield in_setting
    shared_tab.emulate_media(media="null")
    shared_tab.goto("about:blank")


@pytest.fixture
def window(browser):
    """Open windows with nothing kept, which are closed with the test."""
    opened: list[BrowserContext] = []

    def open_window(setting=LIGHT, *, touch=False):
        context = visit.context(browser, setting, touch=touch)
        opened.append(context)
        return context

    yield open_window
    for context in opened:
        context.close()
