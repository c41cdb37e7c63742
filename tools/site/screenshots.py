"""Photograph each kind of page, and time them: ``python -m tools.site.screenshots``."""

import statistics
import sys

from playwright.sync_api import Browser

from tools.gallery import project
from tools.site import layout, ready, server, visit
from tools.site.visit import PHONE, WIDE, Setting

FOLDER = project.BUILD / "screenshots"
KINDS = {
    "front": "index.html",
    "section": "gallery/quantization/index.html",
    "tutorial": "gallery/quantization/plot_20_lstm_dynamic_quantization.html",
    "demo": "in_the_page.html",
    "results": "results.html",
    "scoreboard": "scoreboard.html",
    "api": "api/smallport.checks.check.html",
}
SETTINGS = {
    "light": Setting(WIDE, "light"),
    "dark": Setting(WIDE, "dark"),
    "phone": Setting(PHONE, "light"),
}
VISITS = 5
FIRST_PAINT = """
() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime
"""


def main() -> int:
    """Write the pictures into the build folder, and print how soon each kind of page is there."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with server.serving(ready.SITE) as root, visit.chromium() as browser:
        for kind, name in KINDS.items():
            for title, setting in SETTINGS.items():
                photograph(browser, root + name, setting, f"{kind}_{title}")
            painted = statistics.median(first_paint(browser, root + name) for _ in range(VISITS))
            print(f"{name}: first contentful paint {painted:.0f} ms, median of {VISITS}")
    print(f"Pictures of each kind of page are in {FOLDER}.")
    return 0


def photograph(browser: Browser, address: str, setting: Setting, name: str) -> None:
    """Take a picture of a whole page.

    Parameters
    ----------
    browser
        The browser.
    address
        The address of the page.
    setting
        How it is shown.
    name
        The name of the picture.
    """
    with visit.context(browser, setting) as window:
        page = window.new_page()
        page.goto(address)
        page.evaluate(layout.SETTLED)
        layout.load_figures(page)
        page.screenshot(path=FOLDER / f"{name}.png", full_page=True)


def first_paint(browser: Browser, address: str) -> float:
    """Time until something of a page is seen that was never opened, in milliseconds."""
    with visit.context(browser, SETTINGS["light"]) as window:
        page = window.new_page()
        page.goto(address)
        page.evaluate(layout.SETTLED)
        return float(page.evaluate(FIRST_PAINT))


if __name__ == "__main__":
    sys.exit(main())
