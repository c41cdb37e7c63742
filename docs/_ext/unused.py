"""List the documented functions that no page calls: ``unused-api``, in the overview of the API."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tools.gallery import project

LISTED = re.compile(r"^ +(smallport(?:\.\w+)+)$", re.MULTILINE)
PACKAGE = "smallport"


class Unused(SphinxDirective):
    """List the functions of this document that no page calls."""

    def run(self) -> list[nodes.Node]:
        """Write the list."""
        text = Path(self.env.doc2path(self.env.docname)).read_text(encoding="utf-8")
        scripts = list(project.scripts())
        for script in scripts:
            self.env.note_dependency(str(script))
        unused = unused_in(text, (script.read_text(encoding="utf-8") for script in scripts))
        listed = ", ".join(f":func:`{name}`" for name in unused) or "none"
        return self.parse_text_to_nodes(f"{listed}.")


def unused_in(document: str, pages: Iterable[str]) -> list[str]:
    r"""List the functions of an overview that no page names.

    Classes, which begin with a capital, are left out: pages use most of them as types of results.

    Parameters
    ----------
    document
        The overview, whose names are indented lines.
    pages
        The scripts of the pages.

    Examples
    --------
    >>> overview = "   smallport.checks.check\n   smallport.checks.report\n"
    >>> unused_in(overview, ["from smallport import checks\nchecks.check('one', 1, at_most=1)"])
    ['smallport.checks.report']
    """
    used = {name for page in pages for name in names_used(page)}
    short = {_short(name) for name in used}
    functions = [one for one in LISTED.findall(document) if one.rpartition(".")[2][0].islower()]
    return [name for name in functions if _short(name) not in short]


def names_used(page: str) -> Iterator[str]:
    """Give the full name of everything of the package that a script names.

    Parameters
    ----------
    page
        The script.
    """
    tree = ast.parse(page)
    full: dict[str, str] = {PACKAGE: PACKAGE}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            for one in node.names:
                full[one.asname or one.name] = f"{node.module}.{one.name}"
                yield f"{node.module}.{one.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, *others = ast.unparse(node).split(".")
            if first in full:
                yield ".".join([full[first], *others])


def _short(name: str) -> tuple[str, str]:
    """Reduce a name to its subpackage and its end: subpackages offer names of their modules."""
    parts = name.split(".")
    return parts[1], parts[-1]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("unused-api", Unused)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
