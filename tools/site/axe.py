"""Find what axe-core can see of WCAG 2.1, levels A and AA."""

from contextlib import suppress
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright import sync_api
from playwright.sync_api import Page

from tools.site.visit import Problem, Setting

OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
    # Experimental, and so left out unless it is named.
    "rules": {"label-content-name-mismatch": {"enabled": True}},
    "resultTypes": ["violations"],
    # axe would fetch what a sheet imports from an address relative to the page, where nothing is.
    "preload": False,
}
MERGE_WORDS = """
() => {
  const seen = new Set();
  document.querySelectorAll(".highlight pre").forEach((block) => {
    const behind = getComputedStyle(block).backgroundColor;
    block.querySelectorAll("span[class]:not(:has(*))").forEach((word) => {
      const link = word.closest("a");
      const colour = `${behind} ${link ? "a" : ""} ${word.className}`;
      // axe judges no colour by a single character.
      const judged = word.textContent.trim().length > 1;
      if (word.attributes.length > 1 || (judged && !seen.has(colour))) seen.add(colour);
      else (link ?? word).replaceWith(word.textContent);
    });
    block.normalize();
  });
}
"""
"""Keep one word of each colour in the code of a page: highlighting makes thousands of elements."""

MARK_ALIKE = """
() => {
  const told = ({ name, value }) => (/^(href|id|data-.*)$/.test(name) ? "" : `${name}=${value}`);
  const shape = (one) => one instanceof Element
    ? `<${one.tagName} ${[...one.attributes].map(told)}>${[...one.childNodes].map(shape).join("")}`
    : one.textContent.trim() && "text";
  for (const list of document.querySelectorAll("tbody, ul, ol, dl")) {
    const seen = new Set();
    [...list.children].forEach((one, place) => {
      const found = `${place % 2} ${shape(one)}`;  // every other row has another background
      if (seen.has(found)) one.dataset.alike = "";
      seen.add(found);
    });
  }
}
"""
"""Mark the rows and items that differ from one before them in nothing but words and targets."""

ALIKE = "[data-alike]"
ALL_REACHABLE = """
() => [...document.querySelectorAll("pre, [class*='scroll']")].every(
  (one) => one.scrollWidth <= one.clientWidth || one.tabIndex >= 0
)
"""
MOMENT = 600
"""How long the theme may take to let the keyboard into what scrolls in another width, in ms."""


def load(page: Page) -> None:
    """Bring axe into an open page, once."""
    page.evaluate(MERGE_WORDS)
    page.evaluate(MARK_ALIKE)
    page.evaluate(AXE_SCRIPT)


def problems(page: Page, name: str, setting: Setting) -> list[Problem]:
    """Run axe over an open page; of rows and items that are made alike, over the first.

    Parameters
    ----------
    page
        The page, with axe loaded.
    name
        What to call it.
    setting
        What it is shown with.
    """
    with suppress(sync_api.TimeoutError):  # axe then says what cannot be reached
        page.wait_for_function(ALL_REACHABLE, timeout=MOMENT)
    seen = {"include": [["html"]], "exclude": [[ALIKE]]}
    result = page.evaluate("([seen, options]) => axe.run(seen, options)", [seen, OPTIONS])
    return [
        Problem(name, f"{setting}, {_selector(node)}", f"{rule['id']}: {_summary(node)}")
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


def _selector(node: dict[str, Any]) -> str:
    return " ".join(str(part) for part in node["target"])


def _summary(node: dict[str, Any]) -> str:
    return " ".join(node["failureSummary"].split()) + f" In: {node['html']}"
