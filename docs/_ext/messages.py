"""Index a page by the error messages that it lists, so that a search for one leads to its recipe.

A list item that begins with a message, as a literal, and leads to a place on the page by ``:ref:``,
becomes index entries of that place: one for each message.
"""

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

FEWEST_WORDS = 2


class IndexMessages(SphinxTransform):
    """Adds the entries before Sphinx collects them (at 850)."""

    default_priority = 800

    def apply(self, **_: Any) -> None:
        """Index the lists of a page of the gallery."""
        if not self.env.docname.startswith("gallery/"):
            return
        for item in self.document.findall(nodes.list_item):
            if found := entries(item):
                item.insert(0, addnodes.index(entries=found))


def entries(item: nodes.list_item) -> list[tuple[str, str, str, str, None]]:
    """Read the index entries off an item of a list."""
    first = item.next_node(nodes.paragraph)
    places = [one["reftarget"] for one in item.findall(addnodes.pending_xref) if _leads(one)]
    if first is None or not isinstance(first[0], nodes.literal) or not places:
        return []
    messages = [child.astext() for child in first.children if isinstance(child, nodes.literal)]
    return [
        ("single", message, places[0], "main", None)
        for message in messages
        if len(message.split()) >= FEWEST_WORDS
    ]


def _leads(reference: nodes.Element) -> bool:
    return bool(reference.get("reftype") == "ref")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the transform."""
    app.add_transform(IndexMessages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
