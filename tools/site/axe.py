"""Find what axe-core can see of WCAG 2.1, levels A and AA."""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

from tools.site.visit import Problem, Setting

OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
    "resultTypes": ["violations"],
}


def load(page: Page) -> None:
    """Bring axe into an open page, once."""
    page.evaluate(AXE_SCRIPT)


def problems(page: Page, name: str, setting: Setting) -> list[Problem]:
    """Run axe over an open page, with nothing excluded.

    Parameters
    ----------
    page
        The page, with axe loaded.
    name
        What to call it.
    setting
        What it is shown with.
    """
    result = page.evaluate("options => axe.run(document, options)", OPTIONS)
    return [
        Problem(name, f"{setting}, {_selector(node)}", f"{rule['id']}: {_summary(node)}")
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


def _selector(node: dict[str, Any]) -> str:
    return " ".join(str(part) for part in node["target"])


def _summary(node: dict[str, Any]) -> str:
    return " ".join(node["failureSummary"].split()) + f" In: {node['html']}"
