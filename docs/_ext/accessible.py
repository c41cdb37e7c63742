"""Make pages usable with a keyboard and with assistive technology.

- The theme names neither the sections of its navigation nor the boxes that its tables scroll in.
- Sphinx's overview of modules puts lists next to the items that they belong to.
- docutils' header cells do not say what they are the header of, and its citations have roles that
  are deprecated.
- Sphinx-Gallery links names in code to their documentation: up to a hundred stops between a reader
  and the next heading. The same names are linked in the text.
- Cells that only draw, answer an exercise or check the measurement are folded away, in a
  ``details`` that mouse and keyboard open.
"""

import html
import re
from collections.abc import Callable
from typing import Any

from bs4 import BeautifulSoup, Tag
from docutils import nodes
from sphinx.application import Sphinx

from tools.lint import folded

NAVIGATION = "generate_toctree_html"
"""The theme's name of the function that writes the navigation."""

FOLDED = '<details class="smallport-folded smallport-{}"><summary>{}</summary>'
CELL = "GENERATED FROM PYTHON SOURCE"
"""The beginning of the comment that the gallery writes before each cell."""

HEADER = re.compile(r'<th class="(?P<kind>head|stub)')
SCOPES = {"head": "col", "stub": "row"}
BOX = '<div class="pst-scrollable-table-container">'
CAPTIONED = re.compile(
    rf'{BOX}(?P<table><table[^>]*>\s*<caption><span class="caption-text">(?P<caption>.*?)</span>)',
    re.DOTALL,
)
CODE_LINK = '<a class="sphx-glr-backref-'


def complete(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Complete the text of a page before it is written."""
    if "body" in context:
        context["body"] = completed(context["body"])


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


def repair(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    """Repair what goes into a page before it is written."""
    if NAVIGATION in context:
        context[NAVIGATION] = with_names(context[NAVIGATION])
    if pagename == "_modules/index":
        context["body"] = with_nested_lists(context["body"])


def with_names(write: Callable[..., Any]) -> Callable[..., Any]:
    """Have the navigation say what each of its sections opens.

    The theme writes a ``summary`` with an arrow and no name.
    """

    def written(*args: Any, **kwargs: Any) -> Any:
        navigation = write(*args, **kwargs)
        if isinstance(navigation, Tag):
            name_sections(navigation)
        return navigation

    return written


def name_sections(navigation: Tag) -> None:
    """Name the ``summary`` of each section after the link next to it.

    Parameters
    ----------
    navigation
        The navigation, which is changed.

    Examples
    --------
    >>> html = "<li><a>Export</a><details><summary><i></i></summary></details></li>"
    >>> navigation = BeautifulSoup(html, "html.parser")
    >>> name_sections(navigation)
    >>> print(navigation)
    <li><a>Export</a><details><summary aria-label="Pages of Export"><i></i></summary></details></li>
    """
    for summary in navigation.select("li > details > summary"):
        link = summary.parent.find_previous_sibling("a") if summary.parent else None
        if link and not summary.get_text(strip=True):
            summary["aria-label"] = f"Pages of {link.get_text(strip=True)}"


def with_nested_lists(body: str) -> str:
    """Put each list in a list into the item that it belongs to.

    Sphinx's overview of modules puts it next to that item.

    Examples
    --------
    >>> print(with_nested_lists("<ul><li>a</li><ul><li>a.b</li></ul><li>c</li></ul>"))
    <ul><li>a<ul><li>a.b</li></ul></li><li>c</li></ul>
    """
    soup = BeautifulSoup(body, "html.parser")
    for inner in soup.select("ul > ul"):
        item = inner.find_previous_sibling("li")
        if isinstance(item, Tag):
            item.append(inner.extract())
    return str(soup)


def visit_citation(self: Any, node: nodes.citation) -> None:
    """Write a citation without roles.

    docutils gives it ``doc-biblioentry``, which is deprecated, in a list that then has no items.
    """
    self.body.append(self.starttag(node, "div", CLASS="citation"))


def depart_citation(self: Any, node: nodes.citation) -> None:
    """End a citation."""
    self.body.append("</div>\n")


def fold(app: Sphinx, doctree: nodes.document) -> None:
    """Put each folded cell, with its output if that is folded too, into a ``details``."""
    for code in list(doctree.findall(nodes.literal_block)):
        kind = folded.kind_of(code.rawsource or code.astext())
        if kind is None:
            continue
        parent, first = code.parent, code.parent.index(code)
        last = first + 1
        while kind.output and last < len(parent) and not _begins_cell(parent[last]):
            last += 1
        parent.insert(last, nodes.raw("", "</details>", format="html"))
        summary = html.escape(folded.summary_of(code.rawsource or code.astext()), quote=False)
        opening = FOLDED.format(kind.mark.lower(), summary)
        parent.insert(first, nodes.raw("", opening, format="html"))


def _begins_cell(node: nodes.Node) -> bool:
    return isinstance(node, nodes.section) or (
        isinstance(node, nodes.comment) and node.astext().startswith(CELL)
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Complete pages, and repair what the theme, whose handlers have the default priority, did."""
    app.connect("doctree-read", fold)
    app.connect("html-page-context", complete)
    app.connect("html-page-context", repair, priority=900)
    app.add_node(nodes.citation, override=True, html=(visit_citation, depart_citation))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
