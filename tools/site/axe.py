"""Find what axe-core can see of WCAG 2.1, levels A and AA."""

from collections.abc import Mapping, Sequence
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
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
COLOURS = OPTIONS | {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
}
"""What depends on the theme."""

ALIKE = [".bd-sidebar-primary li:not(.current) ~ li:not(.current)"]
"""The links in the side bar after the first one that does not lead to where the reader is."""

MERGE_WORDS = """
() => document.querySelectorAll(".highlight pre").forEach((block) => {
  const seen = new Set();
  block.querySelectorAll("span[class]:not(:has(*))").forEach((word) => {
    if (word.attributes.length > 1 || word.closest("a")) return;
    if (seen.has(word.className)) word.replaceWith(word.textContent);
    // axe judges no colour by a single character.
    else if (word.textContent.trim().length > 1) seen.add(word.className);
  });
  block.normalize();
})
"""
"""Keep one word of each colour in a block of code: highlighting makes thousands of elements."""


def load(page: Page) -> None:
    """Bring axe into an open page, once."""
    page.evaluate(MERGE_WORDS)
    page.evaluate(AXE_SCRIPT)


def problems(
    page: Page,
    name: str,
    setting: Setting,
    options: Mapping[str, Any] = OPTIONS,
    passed_over: Sequence[str] = (),
) -> list[Problem]:
    """Run axe over an open page.

    Parameters
    ----------
    page
        The page, with axe loaded.
    name
        What to call it.
    setting
        What it is shown with.
    options
        What to look for: `OPTIONS`, or `COLOURS` where the rest was looked for in the same width.
    passed_over
        Selectors of what is left out, since something like it is looked at.
    """
    whole = {"include": [["html"]], "exclude": [[one] for one in passed_over]}
    result = page.evaluate("([whole, options]) => axe.run(whole, options)", [whole, options])
    return [
        Problem(name, f"{setting}, {_selector(node)}", f"{rule['id']}: {_summary(node)}")
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


def _selector(node: dict[str, Any]) -> str:
    return " ".join(str(part) for part in node["target"])


def _summary(node: dict[str, Any]) -> str:
    return " ".join(node["failureSummary"].split()) + f" In: {node['html']}"
