"""Find reStructuredText in the notebooks of a site, whose readers have nothing that renders it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from tools.gallery.project import Finding

CODE = re.compile(r"^```.*?^```$|``.+?``", re.MULTILINE | re.DOTALL)
PATTERNS = {
    "a role": r"(?<![\w`]):[a-zA-Z][\w:+-]*:`",
    "a directive": r"^\s*\.\. [\w:-]+::",
    "an anchor or a comment": r"^\s*\.\.(?: |$)",
    "a link": r"`__?(?!\w)|\]\([^)\s]*\)_(?!\w)",
    "a footnote": r"\[(?:#?\w+|\*)\]_(?!\w)",
    "an escaped space": r"\\ (?![^$\n]*\$)",
    "a literal block": r"::\s*$",
    "an option": r"^\s*:[a-z-]+:(?:\s|$)",
    "a rule of a heading or a table": r"^\s*([=~^\"'*+#_])\1{3,}|^\s*\+[-=+]{4,}",
    "the mark of a cell": r"^%%\s*$",
    "a label with its target": r"(?<!`)`[^`<>]+ <[\w/.-]+>`",
}
"""Markup that Markdown does not know, and its patterns."""


def rst_in_markdown(text: str) -> Iterator[tuple[str, str]]:
    """Find reStructuredText in Markdown: what it is, and the line.

    Examples
    --------
    >>> list(rst_in_markdown("see :func:`train` now"))
    [('a role', 'see :func:`train` now')]
    >>> list(rst_in_markdown("see `train`, ``:func:`` and [a page](page.html)"))
    []
    """
    prose = CODE.sub("", text)
    for what, pattern in PATTERNS.items():
        for found in re.finditer(pattern, prose, re.MULTILINE):
            start = prose.rfind("\n", 0, found.end() - 1) + 1
            yield what, prose[start:].partition("\n")[0].strip()


def findings(site: Path) -> Iterator[Finding]:
    """Find reStructuredText in the text cells of every notebook that the site offers."""
    for notebook in sorted(site.rglob("*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        for number, cell in enumerate(cells, 1):
            if cell["cell_type"] == "markdown":
                for what, line in rst_in_markdown("".join(cell["source"])):
                    message = (
                        f"cell {number} shows {what}: {line!r}. Write it otherwise, or convert it "
                        "in docs/_ext/downloads.py"
                    )
                    yield Finding(notebook.name, None, "notebook", message)
