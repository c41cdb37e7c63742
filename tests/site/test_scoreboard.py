"""The scoreboard's table and its search, as a reader comes to them."""

import pytest

pytestmark = pytest.mark.site

TABLE = ".scoreboard-architectures >> nth=0"
ROWS = f"{TABLE} >> tbody tr"
OVER_ITS_TICKS = """
(table) => [...table.querySelectorAll("thead .scoreboard-tick")].map((head) => {
  const [above, below] = [head, table.querySelector("tbody tr").cells[head.cellIndex]].map(
    (cell) => cell.getBoundingClientRect());
  return above.left === below.left && above.right === below.right && above.width < 60;
})
"""


@pytest.fixture
def page(tab, address):
    """Open the scoreboard."""
    page = tab()
    page.goto(f"{address}scoreboard.html")
    return page


def test_each_stage_has_its_head_above_its_ticks(page):
    assert page.locator(TABLE).evaluate(OVER_ITS_TICKS) == [True] * 8
    page.get_by_role("button", name="exported", exact=True).click()
    page.get_by_role("button", name="exported", exact=True).click()
    assert page.locator(f"{TABLE} >> [aria-sort]").get_attribute("aria-sort") == "descending"
    assert page.locator(f"{ROWS} >> nth=0").locator("td >> nth=2").inner_text() == "✓"


def test_the_details_follow_the_search(page):
    everything = page.locator(ROWS).count()
    page.get_by_label("Search names, stages and errors").first.fill("llama")
    names = page.locator(f"{ROWS}:visible th").all_inner_texts()
    assert 0 < len(names) < everything
    shown = page.locator("details.scoreboard-found:visible summary").all_inner_texts()
    assert [one.partition(":")[0] for one in shown] == names
    page.evaluate("location.hash = '#found-gpt2'")
    page.locator("#found-gpt2").wait_for()  # a link leads to it, whatever was searched


def test_a_tab_of_a_task_is_chosen_in_all_sections(window, address):
    page = window().new_page()  # the choice is kept for other pages
    page.goto(f"{address}scoreboard.html")
    tabs = page.locator("label.sd-tab-label", has_text="Masked")
    assert tabs.count() == 6
    assert page.locator(f"{ROWS} >> nth=0").is_visible()
    tabs.first.click()
    assert page.locator(f"{ROWS} >> nth=0").is_hidden()
    page.evaluate("location.hash = '#found-gpt2'")
    page.locator("#found-gpt2").wait_for()  # a link leads to it, whatever was chosen
