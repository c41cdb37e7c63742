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
KEEP_ONE_OF_EACH = """
() => {
  const WORDS = /^(alt|content|href|id|for|name|src|srcset|title|value|width|height|data-.*)$/;
  // Without one of these, the rest of what they are a part of would be wrong.
  const PARTS = "caption, dd, dt, figcaption, label, legend, option, summary, td, th, thead";
  const told = ({ name, value }) =>
    WORDS.test(name) ? `${name}${value.trim() ? "" : "=empty"}` : `${name}=${value}`;
  const REFERENCES = ["for", "aria-labelledby", "aria-describedby", "aria-controls", "aria-owns"];
  const referred = new Set(REFERENCES.flatMap((name) =>
    [...document.querySelectorAll(`[${name}]`)].flatMap((one) => one.getAttribute(name).split(" "))
  ));
  const seen = new Set();
  const isNew = (structure) => !seen.has(structure) && !!seen.add(structure);
  const visit = (one, path, place) => {
    const row = one.tagName === "TR" ? place % 2 : "";  // every other row has another background
    const kind = `${one.tagName}${row} ${[...one.attributes].map(told).sort()}`;
    const inside = path.includes(kind) ? path : [...path, kind];
    const parts = [...one.childNodes].filter((part) => part.nodeType === Node.TEXT_NODE);
    // axe judges no colour by a single character.
    const texts = parts.map((part) => part.textContent.trim().length).filter((size) => size);
    const own = one.childNodes.length ? texts.map((size) => size > 1) : ["nothing"];
    let kept = isNew(inside.join(">")) || (one.id && referred.has(one.id));
    for (const text of own) kept = isNew([...inside, text].join(">")) || kept;
    kept = one.hasAttribute("aria-label") || kept;  // its words count: they have to be those shown
    let number = 0;
    for (const child of [...one.children]) kept = visit(child, inside, number++) || kept;
    if (!kept && !one.matches(PARTS)) one.remove();
    return kept;
  };
  visit(document.body, [], 0);
}
"""
"""Keep one element of each structure, as ``tools.site.structure`` has it: axe is slow."""

ALL_REACHABLE = """
() => [...document.querySelectorAll("pre, [class*='scroll']")].every(
  (one) => one.scrollWidth <= one.clientWidth || one.tabIndex >= 0
)
"""
MOMENT = 600
"""The time that the theme may take to let the keyboard into boxes that scroll, in ms."""


def load(page: Page, *, whole: bool = False) -> None:
    """Bring axe into an open page, once.

    Parameters
    ----------
    page
        The page. Nothing else can be looked at in it afterwards.
    whole
        Whether axe is to judge all of it; otherwise, one element of each structure.
    """
    if not whole:
        page.evaluate(KEEP_ONE_OF_EACH)
    page.evaluate(AXE_SCRIPT)


def problems(page: Page, name: str, setting: Setting) -> list[Problem]:
    """Run axe over an open page.

    Parameters
    ----------
    page
        The page, with axe loaded.
    name
        The name of the page.
    setting
        The setting in which it is shown.
    """
    with suppress(sync_api.TimeoutError):  # axe then says what cannot be reached
        page.wait_for_function(ALL_REACHABLE, timeout=MOMENT)
    result = page.evaluate("(options) => axe.run(options)", OPTIONS)
    return [
        Problem(name, f"{setting}, {_selector(node)}", f"{rule['id']}: {_summary(node)}")
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


def _selector(node: dict[str, Any]) -> str:
    return " ".join(str(part) for part in node["target"])


def _summary(node: dict[str, Any]) -> str:
    return " ".join(node["failureSummary"].split()) + f" In: {node['html']}"
