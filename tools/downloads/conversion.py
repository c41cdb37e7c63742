"""Compare each notebook with the script that it was converted from, cell by cell."""

import html
import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sphinx_gallery.py_source_parser import remove_config_comments

from tools.lint import pages as page_rules

KINDS = {"text": "markdown", "code": "code"}
REST = (
    (r"(?m)^\s*\.\. _[\w-]+:\s*$", ""),  # an anchor
    (r":[\w:+-]+:`~[\w.]*?(\w+)`", r"\1"),  # a role that shows the end of a name
    (r":[\w:+-]+:`", "`"),
    (r"`([^`<]+?)\s*<[^`>]+>`_{0,2}", r"\1"),  # a label with its target
)
MARKDOWN = (
    (r"</?su[bp]>", " "),
    (r"\[([^\]]+)\]\([^)\s]*\)", r"\1"),
)
"""The parts to drop from a text, apart from punctuation, so that only its words are left."""


def differences(notebook: Path, script: Path) -> Iterator[str]:
    """Find the first cell of a notebook that is not the same cell of its script.

    The notebook's first cell, which installs what the others import, has none. Code has to be the
    same, character by character, and text word by word.
    """
    _, *cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    ours = [(cell["cell_type"], content_of(cell)) for cell in cells]
    theirs = [(KINDS[cell.kind], "\n".join(cell.lines)) for cell in page_rules.cells_of(script)]
    for number, (here, there) in enumerate(zip_longest(ours, theirs), start=2):
        if here is None or there is None or here[0] != there[0]:
            kinds = [cell[0] if cell else "missing" for cell in (here, there)]
            yield f"cell {number} is {kinds[0]}, and {kinds[1]} in {script.name}"
            return
        if here[0] == "code":
            same = here[1].strip() == remove_config_comments(there[1]).strip()
        else:
            same = words(here[1], MARKDOWN) == words(there[1], REST)
        if not same:
            yield f"cell {number} ({here[0]}) is not as in {script.name}: {here[1][:60]!r}"
            return


def content_of(cell: dict[str, Any]) -> str:
    """Read the text of a notebook's cell."""
    return "".join(cell["source"])


def words(text: str, dropped: tuple[tuple[str, str], ...]) -> list[str]:
    """List the words of a text in order, whatever marks stand around them.

    Examples
    --------
    >>> words("see :func:`~smallport.checks.check`, or `an issue <https://example.org>`_", REST)
    ['see', 'check', 'or', 'an', 'issue']
    >>> words("see `check`, or [an issue](https://example.org)", MARKDOWN)
    ['see', 'check', 'or', 'an', 'issue']
    """
    text = html.unescape(text)
    for pattern, replacement in dropped:
        text = re.sub(pattern, replacement, text)
    return re.findall(r"[^\W_](?:\w*[^\W_])?", text)
