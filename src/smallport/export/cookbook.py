"""The recipes against errors of the exporters, as text for a terminal."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from smallport.export.recipes import PAGES

IN_WHEEL = Path(__file__).parent
"""The folder that a wheel contains the scripts of the pages in, as ``.txt``."""

IN_CHECKOUT = Path(__file__).parents[3] / "examples" / "export"

ANCHOR = re.compile(r"^# \.\. _recipe-([\w-]+):\n#\n# (.+)\n# -+\n", re.MULTILINE)
HEADING = re.compile(r"^# [^\n]+\n# -{3,}\n", re.MULTILINE)
HARNESS = re.compile(r"^# %%\n\n# (?:Guard|Drawing):.*?(?=^# %%\n|\Z)", re.MULTILINE | re.DOTALL)
TEXT_CELL = re.compile(r"# %%\n((?:#.*\n)+)")
ROLE = re.compile(r":[\w:]+:`([^`]+)`", re.DOTALL)
LINK = re.compile(r"`([^`<]+?)\s+<([^`>]+)>`__?")
UNDERLINE = re.compile(r"-{3,}$", re.MULTILINE)
WIDTH = 88


def read_recipes() -> dict[str, tuple[str, str]]:
    """Read the title and the text of each recipe, by its anchor without ``recipe-``.

    Examples
    --------
    >>> title, text = read_recipes()["guard-refuses"]
    >>> title
    'Remove a guard that rejects a valid shape'
    >>> "**Fix.**" in text
    True
    """
    recipes = {}
    for page in PAGES:
        file = IN_CHECKOUT / f"{page}.py"
        if not file.exists():
            file = IN_WHEEL / f"{page}.txt"
        _, *parts = ANCHOR.split(file.read_text(encoding="utf-8"))
        for anchor, title, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            recipe, *_ = HEADING.split(body)  # the last one is followed by other sections
            heading = f"# %%\n# {title}\n# {'-' * len(title)}\n"
            recipes[anchor] = (title, _text(heading + HARNESS.sub("", recipe)))
    return recipes


def _text(script: str) -> str:
    """Write prose without markup and code indented."""
    blocks = []
    for number, block in enumerate(TEXT_CELL.split(script)):
        if number % 2:
            prose = re.sub(r"^# ?", "", block, flags=re.MULTILINE)
            prose = LINK.sub(r"\1 (\2)", ROLE.sub(_shown, prose)).replace("``", "`")
            blocks += [_wrapped(paragraph) for paragraph in prose.strip().split("\n\n")]
        elif code := block.removesuffix("# %%\n").strip("\n"):
            blocks.append(textwrap.indent(code, "    "))
    return "\n\n".join(blocks)


def _wrapped(paragraph: str) -> str:
    """Fill the lines of a paragraph; headings stay as they are."""
    if UNDERLINE.search(paragraph):
        return paragraph
    return textwrap.fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)


def _shown(role: re.Match[str]) -> str:
    """Write what the site shows of a reference: its text, or the end of a name after a tilde."""
    content = " ".join(role[1].split())
    if text := re.fullmatch(r"(.+?) <.+>", content):
        return text[1]
    return content.rpartition(".")[2] if content.startswith("~") else content
