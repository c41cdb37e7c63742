"""Open pages of the site in Chromium, and keep what its log says about each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    sync_playwright,
)

from tools.site import ready

HEIGHT = 900
FIRST_ERROR = 400
LOCAL = ("data:", "blob:")
"""Addresses of what a page carries with it."""


@dataclass(frozen=True)
class Setting:
    """The setting in which a reader sees a page: a width in CSS pixels, and light or dark."""

    width: int
    theme: str

    def __str__(self) -> str:
        return f"{self.theme}, {self.width} px"


WIDE, PHONE = 1280, 390
SETTINGS = (
    Setting(WIDE, "light"),
    Setting(WIDE, "dark"),
    Setting(PHONE, "dark"),
    Setting(PHONE, "light"),
)
"""In an order in which the width changes once."""

ONE_OF_EACH = SETTINGS[0], SETTINGS[2]
"""Each width and each theme once: widths do not depend on themes, nor colours on widths."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a page.

    Parameters
    ----------
    page
        Its address below the root of the site.
    where
        The setting, or the element, or both.
    cause
        The problem.

    Examples
    --------
    >>> print(Problem("index.html", "dark, 390 px", "is 12 px wider than the screen"))
    index.html (dark, 390 px): is 12 px wider than the screen
    """

    page: str
    where: str
    cause: str

    def __str__(self) -> str:
        return f"{self.page} ({self.where}): {self.cause}"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; it ends with the block."""
    sandbox = os.geteuid() != 0  # which Chromium refuses to root, as CI often is
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=ready.chromium(), chromium_sandbox=sandbox
        )
        try:
            yield browser
        finally:
            browser.close()


def context(browser: Browser, setting: Setting, *, touch: bool = False) -> BrowserContext:
    """Make a window with a cache and a memory of its own.

    Parameters
    ----------
    browser
        The browser.
    setting
        Width and theme.
    touch
        Whether it is a touch screen, over which nothing hovers.
    """
    return browser.new_context(
        viewport={"width": setting.width, "height": HEIGHT},
        color_scheme="dark" if setting.theme == "dark" else "light",
        # Colours that fade from light to dark would be judged halfway.
        reduced_motion="reduce",
        has_touch=touch,
        is_mobile=touch,
    )


def prepare(page: Page, setting: Setting) -> None:
    """Have the next page be opened in a setting."""
    size: ViewportSize = {"width": setting.width, "height": HEIGHT}
    if page.viewport_size != size:  # the page is laid out again, even for the same size
        page.set_viewport_size(size)
    page.emulate_media(color_scheme="dark" if setting.theme == "dark" else "light")


def switch(page: Page, setting: Setting) -> None:
    """Show an open page in another setting."""
    prepare(page, setting)
    # The theme hears of it by an event.
    page.wait_for_function(
        "theme => document.documentElement.dataset.theme === theme", arg=setting.theme
    )


@dataclass
class Log:
    """The log of the browser while it shows pages: errors, failed requests, other hosts.

    Parameters
    ----------
    root
        The address of the site's root.
    """

    root: str
    entries: list[tuple[str, str]] = field(default_factory=list)

    def listen(self, context: BrowserContext) -> None:
        """Listen to every page of a window."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self._note("script", f"failed: {error.error}"))
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("response", self._response)

    def problems(self, page: str) -> list[Problem]:
        """Give what was noted since the last time, as problems of a page."""
        noted, self.entries[:] = list(self.entries), []
        return [Problem(page, where, cause) for where, cause in noted]

    def _note(self, where: str, cause: str) -> None:
        self.entries.append((where, cause))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            place = message.location
            where = f"{place['url']}:{place['lineNumber'] + 1}"
            self._note(where, f"console {message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.root, *LOCAL)):
            cause = f"asks another host for this {request.resource_type}: serve it with the site"
            self._note(request.url, cause)

    def _failed(self, request: Request) -> None:
        self._note(request.url, f"request failed: {request.failure}")

    def _response(self, response: Response) -> None:
        if response.status >= FIRST_ERROR:
            self._note(response.url, f"request failed with status {response.status}")
