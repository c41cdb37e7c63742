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
    "compatibility": "compatibility.html",
    "api": "api/smallport.checks.check.html",
}
SETTINGS = {
    "light": Setting(WIDE, "light"),
    "dark": Setting(WIDE, "dark"),
    "phone": Setting(PHONE, "light"),
}
TALLEST = 6000
"""Pixels of a page that a picture shows at most."""

VISITS = 5
LATEST = 1000
"""Milliseconds after which something of a page has to be seen."""

FIRST_PAINT = """
() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime
"""


def main() -> int:
    """Write the pictures into the build folder, and time each kind of page; 1 if one is late."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    late = []
    with server.serving(ready.SITE, ready.path()) as root, visit.chromium() as browser:
        for kind, name in KINDS.items():
            photograph(browser, root + name, kind)
            painted = statistics.median(first_paint(browser, root + name) for _ in range(VISITS))
            print(f"{name}: first contentful paint {painted:.0f} ms, median of {VISITS}")
            late += [name] if painted > LATEST else []
    print(f"Pictures of each kind of page are in {FOLDER}.")
    for name in late:
        print(f"{name}: nothing is seen within {LATEST} ms: find out what it waits for")
    return 1 if late else 0


def photograph(browser: Browser, address: str, kind: str) -> None:
    """Take pictures of a page in all settings, of the whole page unless it is long.

    Parameters
    ----------
    browser
        The browser.
    address
        The address of the page.
    kind
        How the names of the pictures begin.
    """
    with visit.context(browser, SETTINGS["light"]) as window:
        page = window.new_page()
        page.goto(address)
        for name, setting in SETTINGS.items():
            visit.switch(page, setting)
            page.evaluate(layout.SETTLED)
            layout.load_figures(page)
            height = min(page.evaluate("document.documentElement.scrollHeight"), TALLEST)
            page.screenshot(
                path=FOLDER / f"{kind}_{name}.png",
                full_page=True,
                clip={"x": 0, "y": 0, "width": setting.width, "height": height},
            )


def first_paint(browser: Browser, address: str) -> float:
    """Time until something of a page is seen that was never opened, in milliseconds."""
    with visit.context(browser, SETTINGS["light"]) as window:
        page = window.new_page()
        page.goto(address)
        page.evaluate(layout.SETTLED)
        return float(page.evaluate(FIRST_PAINT))


if __name__ == "__main__":
    sys.exit(main())
