"""The recipes of the page "What the exporter's errors mean", as text for a terminal."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

PAGE = "plot_20_export_error_cookbook.py"

IN_WHEEL = Path(__file__).with_name("cookbook.txt")
"""The script of the page, which the build of a wheel puts here."""

IN_CHECKOUT = Path(__file__).parents[3] / "examples" / "export" / PAGE

ANCHOR = re.compile(r"^# \.\. _recipe-([\w-]+):\n#\n# (.+)\n# -+\n", re.MULTILINE)
TEXT_CELL = re.compile(r"# %%\n((?:#.*\n)+)")
ROLE = re.compile(r":[\w:]+:`([^`]+)`", re.DOTALL)


def read_recipes() -> dict[str, tuple[str, str]]:
    """Read the title and the text of each recipe, by its anchor without ``recipe-``.

    Examples
    --------
    >>> title, text = read_recipes()["guard-refuses"]
    >>> title
    'A guard that refuses a shape'
    >>> "**Fix.**" in text
    True
    """
    file = IN_CHECKOUT if IN_CHECKOUT.exists() else IN_WHEEL
    script = file.read_text(encoding="utf-8")
    _, *parts = ANCHOR.split(script)
    return {
        anchor: (title, _text(f"# %%\n# {title}\n# {'-' * len(title)}\n{body}"))
        for anchor, title, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }


def _text(script: str) -> str:
    """Write prose as it is and code indented."""
    blocks = []
    for number, block in enumerate(TEXT_CELL.split(script)):
        if number % 2:
            prose = re.sub(r"^# ?", "", block, flags=re.MULTILINE)
            blocks.append(ROLE.sub(_shown, prose).strip())
        elif code := block.removesuffix("# %%\n").strip("\n"):
            blocks.append(textwrap.indent(code, "    "))
    return "\n\n".join(blocks)


def _shown(role: re.Match[str]) -> str:
    """Write what the site shows of a reference: its text, or the end of a name after a tilde."""
    content = " ".join(role[1].split())
    if text := re.fullmatch(r"(.+?) <.+>", content):
        return text[1]
    return content.rpartition(".")[2] if content.startswith("~") else content
