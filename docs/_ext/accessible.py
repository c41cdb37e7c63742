"""Repair what Sphinx, docutils and the theme write that assistive technology cannot use."""

from collections.abc import Callable
from typing import Any

from bs4 import BeautifulSoup, Tag
from docutils import nodes
from sphinx.application import Sphinx

NAVIGATION = "generate_toctree_html"
"""What the theme calls its function that writes the navigation."""


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
    """Name the ``summary`` of each section after the link beside it.

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

    Sphinx's overview of modules puts it beside that item.

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


def setup(app: Sphinx) -> dict[str, bool]:
    """Repair pages once the theme, whose handlers have the default priority, has done its part."""
    app.connect("html-page-context", repair, priority=900)
    app.add_node(nodes.citation, override=True, html=(visit_citation, depart_citation))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
