"""Lead from page to page in reading order, past the indexes of sections."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

PREVIOUS, NEXT = 1, 2
"""Where Sphinx keeps them beside a document's parent."""


def is_section_index(docname: str) -> bool:
    """Tell whether a document only lists the pages of a section of the gallery.

    Examples
    --------
    >>> is_section_index("gallery/export/index"), is_section_index("gallery/index")
    (True, False)
    """
    return docname.startswith("gallery/") and docname.endswith("/index") and docname.count("/") > 1


def neighbour(relations: dict[str, list[str | None]], docname: str, way: int) -> str | None:
    """Find the document before or after another, section indexes left out."""
    other = relations[docname][way] if docname in relations else None
    while other and is_section_index(other):
        other = relations[other][way]
    return other


def lead_on(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Have a page name its neighbours in reading order."""
    relations = app.builder.relations  # type: ignore[attr-defined]
    for name, way in (("prev", PREVIOUS), ("next", NEXT)):
        other = neighbour(relations, pagename, way)
        context[name] = other and {
            "link": app.builder.get_relative_uri(pagename, other),
            "title": app.builder.render_partial(app.env.titles[other])["title"],  # type: ignore[attr-defined]
        }


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the making of each page."""
    app.connect("html-page-context", lead_on)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
