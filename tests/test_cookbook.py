"""Every recipe of the cookbook can be linked, and every message of its index is met on the page."""

import ast
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "examples" / "export" / "plot_20_export_error_cookbook.py"
TEXT = PAGE.read_text(encoding="utf-8")
PROGRAM = ast.parse(TEXT)
INDEX = ast.get_docstring(PROGRAM) or ""
RECIPES = [
    "cache-no-pytree",
    "shapes-nested",
    "dimension-specialized",
    "dimensions-equal",
    "size-one-specialized",
    "guard-refuses",
    "data-dependent",
    "inputs-changed",
    "program-reloaded",
    "weights-shared",
]
"""What reports of failed exports refer to."""

MESSAGES = re.findall(r"``([^`]+)``", INDEX)


def test_each_recipe_has_an_anchor_before_its_title():
    assert re.findall(r"^# \.\. _recipe-([\w-]+):\n#\n# .+\n# -+$", TEXT, re.MULTILINE) == RECIPES


def test_the_index_leads_to_each_recipe():
    assert set(re.findall(r"<recipe-([\w-]+)>`", INDEX)) == set(RECIPES)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_index_is_one_that_the_page_announces_or_logs(message):
    constants = [
        node.value
        for statement in PROGRAM.body[1:]
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    for part in " ".join(message.split()).split(" … "):
        assert any(part in constant for constant in constants), part


def test_there_are_messages_in_the_index():
    assert len(MESSAGES) >= len(RECIPES)
