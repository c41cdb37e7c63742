"""Add to the HTML of a page what its writers leave out for keyboards and screen readers.

- docutils' header cells do not say what they are the header of. The theme puts every table into a
  box that scrolls, and its script makes a stop of the box where it does; but the box has no name.
- Sphinx-Gallery links names in code to their documentation: up to a hundred stops between a reader
  and the next heading. The same names are linked in the text.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

HEADER = re.compile(r'<th class="(?P<kind>head|stub)')
SCOPES = {"head": "col", "stub": "row"}
BOX = '<div class="pst-scrollable-table-container">'
CAPTIONED = re.compile(
    rf'{BOX}(?P<table><table[^>]*>\s*<caption><span class="caption-text">(?P<caption>.*?)</span>)',
    re.DOTALL,
)
CODE_LINK = '<a class="sphx-glr-backref-'


def completed(body: str) -> str:
    """Complete the tables and the code of a page.

    Parameters
    ----------
    body
        The HTML of its text.

    Examples
    --------
    >>> completed('<th class="head"><p>size</p></th>')
    '<th scope="col" class="head"><p>size</p></th>'
    """
    body = HEADER.sub(
        lambda cell: f'<th scope="{SCOPES[cell["kind"]]}" class="{cell["kind"]}', body
    )
    body = CAPTIONED.sub(_region, body)
    return body.replace(CODE_LINK, CODE_LINK.replace("<a ", '<a tabindex="-1" '))


def _region(box: re.Match[str]) -> str:
    name = " ".join(re.sub(r"<[^>]+>", "", box["caption"]).split()).replace('"', "&quot;")
    return f'{BOX[:-1]} role="region" aria-label="{name}" tabindex="0">{box["table"]}'


def complete(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Complete a page before it is written."""
    if "body" in context:
        context["body"] = completed(context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the writing of pages."""
    app.connect("html-page-context", complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
