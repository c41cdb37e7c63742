"""Copy every piece of code, and compare the clipboard with where the code comes from."""

import re

import pytest

from tools.gallery import project
from tools.lint import pages as page_rules
from tools.site import visit
from tools.site.visit import Setting

pytestmark = pytest.mark.site

TUTORIALS = [f"gallery/{project.docname(script)}.html" for script in project.scripts()]
PROMPTED = ["contributing.html", "scoreboard.html", "api/smallport.display.show_table.html"]
PROMPT = re.compile(r"(>>> |\.\.\. |\$ |\.\.\.$)")
OUTPUT = ".sphx-glr-script-out"
WIDE = Setting(visit.WIDE, "light")
READY = "document.querySelectorAll('.copybtn').length > 0"

ALL_COPIED = """
async (selector) => {
  const copied = [];
  for (const button of document.querySelectorAll(selector)) {
    await navigator.clipboard.writeText("");
    button.click();
    copied.push((await navigator.clipboard.readText()).trim());
  }
  return copied;
}
"""


@pytest.fixture
def open_page(tab, window, address):
    """Open a page with everything unfolded, and wait for its buttons."""

    def opened(name, setting=WIDE, *, touch=False):
        page = window(setting, touch=True).new_page() if touch else tab(setting)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(address + name)
        page.wait_for_function(READY)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        return page

    return opened


def copied(page, button):
    """Press a copy button by the keyboard, and read the clipboard."""
    page.evaluate("navigator.clipboard.writeText('')")
    button.focus()
    page.keyboard.press("Enter")
    return page.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize("name", TUTORIALS)
def test_the_code_of_a_page_is_copied_as_it_stands_in_the_script(open_page, name):
    script = project.EXAMPLES / name.removeprefix("gallery/").replace(".html", ".py")
    code = ["\n".join(cell.lines) for cell in page_rules.cells_of(script) if cell.kind == "code"]
    code = [re.sub(r"# sphinx_gallery_.*\n", "", cell).strip() for cell in code]
    page = open_page(name)
    assert page.evaluate(ALL_COPIED, ".highlight-Python .copybtn") == code


@pytest.mark.parametrize("name", PROMPTED + TUTORIALS[:1])
def test_commands_are_copied_without_prompts_or_output(open_page, name):
    page = open_page(name)
    blocks = page.locator(".highlight-console, .doctest").all()
    assert blocks
    for block in blocks:
        lines = block.locator("pre").text_content().splitlines()
        typed = [PROMPT.sub("", line, count=1) for line in lines if PROMPT.match(line)]
        assert typed, lines
        assert copied(page, block.locator(".copybtn")).splitlines() == typed


@pytest.mark.parametrize("name", [*TUTORIALS, *PROMPTED, "_modules/smallport/checks.html"])
def test_copy_buttons_stand_on_code_only(tab, address, name):
    page = tab()
    page.goto(address + name)
    blocks = page.locator("div.highlight > pre").count()
    printed = page.locator(f"{OUTPUT} div.highlight > pre").count()
    assert blocks > printed
    page.wait_for_function(READY)
    assert page.locator(f"{OUTPUT} .copybtn").count() == 0
    assert page.locator(".copybtn").count() == blocks - printed


def test_copy_buttons_show_on_touch_screens(open_page):
    page = open_page(TUTORIALS[0], Setting(visit.PHONE, "light"), touch=True)
    for button in page.locator(".copybtn").all():
        assert button.evaluate("(one) => getComputedStyle(one).opacity") == "1"
        box = button.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= visit.PHONE
