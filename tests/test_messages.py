"""Tests of the index entries of error messages."""

import pytest
from docutils import nodes
from sphinx import addnodes

from messages import entries, table


def item(*parts):
    """Make an item of a list."""
    return nodes.list_item("", nodes.paragraph("", "", *parts))


def literal(text):
    return nodes.literal(text, text)


def leading_to(label):
    return addnodes.pending_xref("", nodes.inline("", "a recipe"), reftype="ref", reftarget=label)


def test_each_message_leads_to_the_first_place():
    messages = item(
        literal("Guard failed"),
        nodes.Text(" or "),
        literal("Node arity mismatch"),
        nodes.Text(": "),
        leading_to("recipe-one"),
        leading_to("recipe-two"),
    )
    assert entries(messages) == [
        ("single", "Guard failed", "recipe-one", "main", None),
        ("single", "Node arity mismatch", "recipe-one", "main", None),
    ]


@pytest.mark.parametrize(
    "other",
    [
        item(nodes.Text("see "), literal("Guard failed"), leading_to("recipe")),
        item(literal("Guard failed"), nodes.Text(", of which nothing is said")),
        item(literal("assets"), leading_to("recipe")),
        nodes.list_item(""),
    ],
    ids=["no message", "no place", "a name", "empty"],
)
def test_other_items_are_not_indexed(other):
    assert entries(other) == []


def test_a_list_of_messages_is_shown_as_a_table():
    leading = leading_to("recipe-one")
    one = item(literal("Guard failed"), nodes.Text(":\n"), leading)
    one.insert(0, addnodes.index(entries=entries(one)))
    shown = table(nodes.bullet_list("", one))
    row = shown.next_node(nodes.tbody)[0]
    texts = [cell.next_node(nodes.paragraph).astext() for cell in row]
    assert texts == ["Guard failed", "a recipe"]
    assert row.next_node(addnodes.pending_xref)["reftarget"] == "recipe-one"
    assert row.next_node(addnodes.index)["entries"] == entries(one)
    assert shown.next_node(nodes.title).astext() == "Error messages and the recipes against them"
