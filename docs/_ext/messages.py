"""Show the error messages that a page lists as a table, and index the page by them.

A list item that begins with a message, as a literal, and leads to a place on the page by ``:ref:``,
becomes index entries of that place, one for each message, so that a search for a message leads to
its recipe. A list of such items, here or on other pages, is shown as a table; scripts and notebooks
show the list.
"""

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

FEWEST_WORDS = 2
CAPTION = "Error messages and the recipes against them"
HEADS = ("message", "recipe")
WIDTHS = (60, 40)


class IndexMessages(SphinxTransform):
    """Adds the entries before Sphinx collects them (at 850), and makes the tables."""

    default_priority = 800

    def apply(self, **_: Any) -> None:
        """Index the lists of a page of the gallery."""
        if not self.env.docname.startswith("gallery/"):
            return
        for listed in list(self.document.findall(nodes.bullet_list)):
            items = _items(listed)
            found = [entries(item) for item in items]
            for item, indexed in zip(items, found, strict=True):
                if here := [entry for entry in indexed if entry[2] in self.document.nameids]:
                    item.insert(0, addnodes.index(entries=here))
            if all(found):
                made = table(listed)
                self.document.set_id(made)  # Sphinx asks for it, since the table has a caption
                listed.replace_self(made)


def table(listed: nodes.bullet_list) -> nodes.table:
    """Make a row of each item: before the first reference the messages, then the recipe."""
    rows = []
    for item in _items(listed):
        first = item.next_node(nodes.paragraph)
        parts = [] if first is None else list(first.children)
        place = next(at for at, part in enumerate(parts) if isinstance(part, addnodes.pending_xref))
        messages = nodes.paragraph("", "", *parts[:place])
        messages[-1] = nodes.Text(messages[-1].astext().rstrip().removesuffix(":"))
        index = item[0] if isinstance(item[0], addnodes.index) else None
        rows.append(_row(messages, nodes.paragraph("", "", *parts[place:]), index=index))
    head = _row(*(nodes.paragraph("", name) for name in HEADS))
    group = nodes.tgroup("", cols=len(HEADS))
    group += [nodes.colspec(colwidth=width) for width in WIDTHS]
    group += [nodes.thead("", head), nodes.tbody("", *rows)]
    return nodes.table("", nodes.title("", CAPTION), group)


def _row(*paragraphs: nodes.paragraph, index: nodes.Node | None = None) -> nodes.row:
    cells = [nodes.entry("", paragraph) for paragraph in paragraphs]
    if index is not None:
        cells[0].insert(0, index)
    return nodes.row("", *cells)


def _items(listed: nodes.bullet_list) -> list[nodes.list_item]:
    return [item for item in listed.children if isinstance(item, nodes.list_item)]


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
