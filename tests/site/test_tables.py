"""Look at the tables of every page, as a screen reader and a keyboard come to them."""

import pytest

from tools.gallery import project
from tools.site import visit
from tools.site.visit import Setting

pytestmark = pytest.mark.site

PROBLEMS = """
() => {
  const problems = [];
  // Lists of names that Sphinx lays out as tables are not what is looked for.
  for (const table of document.querySelectorAll("table:not(.autosummary, .indextable)")) {
    const name = table.caption?.textContent.trim();
    const called = name ?? table.textContent.trim().slice(0, 40);
    const note = (problem) => problems.push(`${called}: ${problem}`);
    if (!name) note("has no caption");
    const headers = [...table.querySelectorAll("th")];
    if (!headers.length) note("has no header cells");
    for (const cell of headers) {
      const wanted = cell.closest("thead") ? "col" : "row";
      if (cell.scope !== wanted) note(`the scope of ${cell.textContent.trim()} is not ${wanted}`);
    }
    const box = table.parentElement;
    if (box.getAttribute("role") !== "region") note("is in no region");
    if (!box.ariaLabel) note("its region has no name");
    const wide = table.scrollWidth > box.clientWidth;
    if (wide && box.tabIndex !== 0) note("its region scrolls and the keyboard does not reach it");
    if (wide && getComputedStyle(box).overflowX !== "auto") note("its region does not scroll");
  }
  return problems;
}
"""
TABLE = """
<div role="region" aria-label="Sizes" tabindex="0" style="overflow-x: auto; width: 100px">
<table style="width: 300px"><caption>Sizes</caption>
<thead><tr><th scope="col">layer</th><th scope="col">MB</th></tr></thead>
<tbody><tr><th scope="row">LSTM</th><td>3</td></tr></tbody></table></div>
"""
FAULTS = {
    "<caption>Sizes</caption>": "has no caption",
    'scope="col"': "the scope of layer is not col",
    'scope="row"': "the scope of LSTM is not row",
    'role="region"': "is in no region",
    'aria-label="Sizes"': "its region has no name",
    'tabindex="0"': "its region scrolls and the keyboard does not reach it",
    "overflow-x: auto;": "its region does not scroll",
}
WITH_TABLES = [
    "index.html",
    "results.html",
    "scoreboard.html",
    "compatibility.html",
    "assets.html",
    *(f"gallery/{project.docname(script)}.html" for script in project.scripts()),
]
PHONE = Setting(visit.PHONE, "light")


@pytest.mark.parametrize("name", WITH_TABLES)
def test_tables_say_what_they_show_and_can_be_reached(tab, address, name):
    page = tab(PHONE)
    page.goto(address + name)
    assert page.locator("table").count()
    problems = page.evaluate(PROBLEMS)
    assert not problems, "\n".join([name, *problems])


def test_a_sound_table_has_no_problems(tab):
    page = tab()
    page.set_content(TABLE)
    assert page.evaluate(PROBLEMS) == []


@pytest.mark.parametrize("part", FAULTS)
def test_a_table_that_lacks_a_part_is_found(tab, part):
    page = tab()
    page.set_content(TABLE.replace(part, "", 1))
    assert FAULTS[part] in " ".join(page.evaluate(PROBLEMS))


@pytest.mark.parametrize("name", ["results.html", "gallery/quantization/plot_60_which_route.html"])
def test_a_wide_table_scrolls_by_the_keyboard_and_the_page_stays(tab, address, name):
    page = tab(PHONE)
    page.goto(address + name)
    boxes = page.locator("[role=region]:has(> table)")
    wide = [
        box for box in boxes.all() if box.evaluate("(one) => one.scrollWidth > one.clientWidth")
    ]
    assert wide
    box = wide[0]
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(one) => one.scrollLeft > 0", arg=box.element_handle())
    assert page.evaluate("scrollX") == 0
