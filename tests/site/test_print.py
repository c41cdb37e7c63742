"""Print pages, and look at them as paper does."""

import pytest

from tools.gallery import project
from tools.site import visit
from tools.site.visit import Setting

pytestmark = pytest.mark.site

TUTORIALS = [f"gallery/{project.docname(script)}.html" for script in project.scripts()]
KINDS = [
    "index.html",
    "results.html",
    "api/smallport.checks.check.html",
    TUTORIALS[0],
    TUTORIALS[-1],
]
PAPER = 700
"""The width of a sheet of A4 without its margins, in CSS pixels."""

DARK = Setting(visit.WIDE, "dark")
NOT_PRINTED = (
    ".bd-header",
    ".bd-sidebar-primary",
    ".bd-sidebar-secondary",
    ".prev-next-footer",
    ".smallport-drawing",
    ".copybtn",
    ".headerlink",
)
BREAKS = {"h1, h2, h3": ("breakAfter", "avoid"), "pre, img, tr": ("breakInside", "avoid")}
CUT_OFF = f"""
() => [...document.querySelectorAll("article *")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > {PAPER} + 1)
  .map((one) => `${{one.tagName}}.${{one.className}}: ${{one.textContent.slice(0, 40)}}`)
"""
HIDDEN_BY_SCROLLING = """
() => [...document.querySelectorAll("article pre, article [role=region]")]
  .filter((one) => one.checkVisibility() && getComputedStyle(one).overflowY !== "visible")
  .map((one) => one.textContent.slice(0, 40))
"""


@pytest.fixture
def on_paper(tab, address):
    """Show a page as it is printed."""

    def shown(name):
        page = tab(Setting(PAPER, "light"))
        page.goto(address + name)
        page.emulate_media(media="print")
        return page

    return shown


@pytest.mark.parametrize("name", KINDS)
def test_only_the_article_is_printed_and_all_of_it(on_paper, name):
    page = on_paper(name)
    for selector in NOT_PRINTED:
        assert page.locator(f"{selector}:visible").count() == 0, f"{selector} is printed"
    assert page.locator("article h1:visible").count() == 1
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate(HIDDEN_BY_SCROLLING) == []


@pytest.mark.parametrize("name", KINDS)
def test_headings_stay_with_their_text_and_what_fits_on_a_page_is_not_torn(on_paper, name):
    page = on_paper(name)
    for selector, (rule, wanted) in BREAKS.items():
        found = (
            page.locator("article")
            .locator(selector)
            .evaluate_all("(all, rule) => all.map((one) => getComputedStyle(one)[rule])", rule)
        )
        assert set(found) <= {wanted}, f"{selector}: {set(found)}"


def test_a_page_that_is_read_in_the_dark_is_printed_in_the_light(tab, address):
    page = tab(DARK)
    page.goto(address + TUTORIALS[0])
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    theme = "document.documentElement.dataset.theme"
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = {theme}; }})")
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.evaluate("window.printed") == "light"
    assert page.evaluate(theme) == "dark"


def test_links_to_other_sites_are_printed_with_their_address(on_paper):
    page = on_paper("gallery/quantization/plot_40_lstm_through_onnx.html")
    link = page.locator("article p a.external[href^='https://github.com']").first
    after = link.evaluate("(one) => getComputedStyle(one, '::after').content")
    assert link.get_attribute("href") in after
