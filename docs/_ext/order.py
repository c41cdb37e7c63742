"""Lead from page to page in reading order, past the indexes of sections."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

PREVIOUS, NEXT = 1, 2
"""Where Sphinx keeps them beside a document's parent."""

READ_AFTER = {"in_the_page": "gallery/quantization/plot_40_lstm_through_onnx"}
"""Documents outside of the gallery that continue one of its pages."""


def is_section_index(docname: str) -> bool:
    """Tell whether a document only lists the pages of a section of the gallery.

    Examples
    --------
    >>> is_section_index("gallery/export/index"), is_section_index("gallery/index")
    (True, False)
    """
    return docname.startswith("gallery/") and docname.endswith("/index") and docname.count("/") > 1


def reading_order(relations: dict[str, list[str | None]], root: str) -> list[str]:
    """List the documents in the order in which they are read, section indexes left out.

    Parameters
    ----------
    relations
        The parent, the previous and the next document of each, as Sphinx has them.
    root
        The first document.
    """
    names = []
    name: str | None = root
    while name:
        names.append(name)
        name = relations[name][NEXT]
    for moved, before in READ_AFTER.items():
        if {moved, before} <= set(names):
            names.remove(moved)
            names.insert(names.index(before) + 1, moved)
    return [name for name in names if not is_section_index(name)]


def neighbour(names: list[str], docname: str, way: int) -> str | None:
    """Find the document before or after another in reading order."""
    if docname not in names:
        return None
    place = names.index(docname) + (1 if way == NEXT else -1)
    return names[place] if 0 <= place < len(names) else None


def lead_on(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Have a page name its neighbours in reading order."""
    relations = app.builder.relations  # type: ignore[attr-defined]
    names = reading_order(relations, app.config.root_doc) if relations else []
    for name, way in (("prev", PREVIOUS), ("next", NEXT)):
        other = neighbour(names, pagename, way)
        context[name] = other and {
            "link": app.builder.get_relative_uri(pagename, other),
            "title": app.builder.render_partial(app.env.titles[other])["title"],  # type: ignore[attr-defined]
        }


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the making of each page."""
    app.connect("html-page-context", lead_on)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
