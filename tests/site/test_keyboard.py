"""Go through pages by the keyboard alone."""

import io

import numpy as np
import pytest
from PIL import Image

from tools.gallery import project
from tools.site import visit
from tools.site.visit import Setting

pytestmark = pytest.mark.site

TUTORIAL = "gallery/quantization/plot_40_lstm_through_onnx.html"
TUTORIALS = [f"gallery/{project.docname(script)}.html" for script in project.scripts()]
KINDS = [
    "index.html",
    "gallery/index.html",
    TUTORIAL,
    "results.html",
    "api/smallport.checks.check.html",
]
STILL = "*, ::before, ::after { animation: none !important; transition: none !important; }"
MOST_STOPS = 400
MARGIN = 8
FEWEST_PIXELS = 60
"""What a ring around a link of a few letters changes, and a caret or a shade of grey does not."""

STOP = """
() => {
  const one = document.activeElement;
  if (one === document.body) return null;
  // A link may be a layer over a card, and be as large as that.
  const { x, y, width, height } = (one.closest(".sd-card") ?? one).getBoundingClientRect();
  return {
    name: (one.ariaLabel || one.textContent || "").trim().replace(/\\s+/g, " "),
    kind: one.tagName.toLowerCase(), classes: one.className, href: one.getAttribute("href") ?? "",
    box: { x, y, width, height },
  };
}
"""


@pytest.fixture
def open_page(tab, address):
    """Open a page, and wait until its scripts have put in their buttons."""

    def opened(name):
        page = tab()
        page.goto(address + name)
        page.add_style_tag(content=STILL)
        if page.locator(".highlight-Python").count():
            page.wait_for_selector(".copybtn", state="attached")
        return page

    return opened


def stops(page):
    """Press Tab through a page, and yield what has the focus."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(STOP)
        if stop is None:
            return
        yield stop
    raise AssertionError(f"more than {MOST_STOPS} stops")


def test_the_keyboard_reaches_all_that_a_reader_uses(open_page):
    page = open_page(TUTORIAL)
    found = list(stops(page))
    names = " | ".join(stop["name"] for stop in found)
    assert found[0]["name"] == "Skip to main content"
    assert "Search" in names
    for link in (
        "Tutorials",
        "Results",
        "Verify a quantized ONNX file",
        "the script (.py)",
        "(.ipynb)",
    ):
        assert link in names
    classes = [stop["classes"] for stop in found]
    assert sum("copybtn" in one for one in classes) == page.locator(".copybtn:visible").count() > 0
    assert any("left-prev" in one for one in classes)
    assert any("right-next" in one for one in classes)
    drawings = page.locator(".smallport-drawing").count()
    assert names.count("Code of the figure") == drawings > 0


def test_the_first_stop_leads_past_the_navigation(open_page):
    page = open_page(TUTORIAL)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_the_keyboard_opens_the_search_and_types_into_it(open_page):
    page = open_page("index.html")
    page.locator("button.search-button__button:visible").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.type("int8")
    assert page.evaluate("document.activeElement.value") == "int8"
    page.keyboard.press("Escape")
    assert not page.locator("#pst-search-dialog").is_visible()


def test_the_keyboard_unfolds_the_code_of_a_figure(open_page):
    page = open_page(TUTORIALS[0])
    drawing = page.locator(".smallport-drawing").first
    drawing.locator("summary").focus()
    assert not drawing.locator("pre").is_visible()
    page.keyboard.press("Enter")
    assert drawing.locator("pre").is_visible()


@pytest.mark.parametrize("name", TUTORIALS[:2])
def test_names_in_code_are_no_stops(open_page, name):
    links = open_page(name).locator(".highlight-Python pre a")
    assert links.count()
    assert links.evaluate_all("(all) => all.filter((one) => one.tabIndex >= 0).length") == 0


def shot(page, box):
    """Take the picture of a part of the window, and some pixels around it."""
    width, height = page.viewport_size["width"], page.viewport_size["height"]
    left, top = max(box["x"] - MARGIN, 0), max(box["y"] - MARGIN, 0)
    right = min(box["x"] + box["width"] + MARGIN, width)
    bottom = min(box["y"] + box["height"] + MARGIN, height)
    assert left < right, f"out of the window: {box}"
    assert top < bottom, f"out of the window: {box}"
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    picture = page.screenshot(clip=clip)
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def changed_pixels(page, stop):
    """Count the pixels that the focus changes by more than a shade."""
    focused = shot(page, stop["box"])
    page.evaluate("window.focused = document.activeElement; window.focused.blur()")
    plain = shot(page, stop["box"])
    page.evaluate("window.focused.focus({ preventScroll: true })")
    return int((np.abs(focused - plain).max(axis=-1) > 64).sum())


@pytest.mark.parametrize("name", KINDS)
def test_the_focus_is_visible_at_every_stop(open_page, name):
    page = open_page(name)
    seen: set[str] = set()
    for stop in stops(page):
        alike = f"{stop['kind']} {stop['classes']}"
        if alike in seen and stop["kind"] != "summary":
            continue  # they look the same
        seen.add(alike)
        for theme in ("dark", "light"):
            visit.switch(page, Setting(visit.WIDE, theme))
            changed = changed_pixels(page, stop)
            assert changed >= FEWEST_PIXELS, f"{theme}: {changed} pixels change at {stop}"
    assert len(seen) > 5


@pytest.mark.parametrize("card", range(3))
def test_the_focus_goes_all_around_a_landing_card(open_page, card):
    page = open_page("index.html")
    link = page.locator(".sd-card .sd-stretched-link").nth(card)
    link.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    box = link.evaluate("(one) => one.closest('.sd-card').getBoundingClientRect().toJSON()")
    focused = shot(page, box)
    page.evaluate("document.activeElement.blur()")
    changed = np.abs(focused - shot(page, box)).max(axis=-1) > 64
    edges = {"top": changed[:MARGIN], "bottom": changed[-MARGIN:]}
    edges |= {"left": changed[:, :MARGIN].T, "right": changed[:, -MARGIN:].T}
    for side, edge in edges.items():
        assert edge.any(axis=0).mean() > 0.9, f"the ring is cut off on its {side} side"
