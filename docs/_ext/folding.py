"""Fold away the cells that only draw, in a ``details`` that mouse and keyboard open."""

from docutils import nodes
from sphinx.application import Sphinx

from tools.lint import drawing

OPENING = '<details class="smallport-drawing"><summary>Code of the figure</summary>'


def fold(app: Sphinx, doctree: nodes.document) -> None:
    """Put each cell that only draws between the tags of a ``details``."""
    for code in list(doctree.findall(nodes.literal_block)):
        if drawing.described(code.rawsource or code.astext()) is not None:
            place = code.parent.index(code)
            code.parent.insert(place + 1, nodes.raw("", "</details>", format="html"))
            code.parent.insert(place, nodes.raw("", OPENING, format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the end of the reading of a page."""
    app.connect("doctree-read", fold)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
