"""Every recipe can be linked, and every message that a page lists is met on that page."""

import ast
import re
from pathlib import Path

import pytest

from smallport.export.recipes import GUARD_PAGE, ONNX_PAGE, PAGES, RECIPES, TORCH_PAGE

EXAMPLES = Path(__file__).parents[1] / "examples" / "export"
TEXTS = {page: (EXAMPLES / f"{page}.py").read_text(encoding="utf-8") for page in PAGES}
ANCHORS = {
    TORCH_PAGE: [
        "cache-no-pytree",
        "shapes-nested",
        "dimension-specialized",
        "dimensions-equal",
        "size-one-specialized",
    ],
    GUARD_PAGE: ["guard-refuses", "inputs-changed", "data-dependent"],
    ONNX_PAGE: [
        "onnx-function-missing",
        "onnx-input-rejected",
        "program-reloaded",
        "example-shared",
        "weights-shared",
    ],
}
"""The recipes that reports of failed exports refer to, and others without a message."""

LISTS = {
    page: " ".join(re.sub(r"^# ?", "", part, flags=re.MULTILINE).split())
    for page, text in TEXTS.items()
    for part in [text.partition("# Find your message\n")[2].partition("\n# ..")[0]]
}
"""The lists of messages, up to the first recipe. That of the first page has all messages."""

MESSAGES = [
    (page, message)
    for page, text in LISTS.items()
    for message in re.findall(r"``([^`]+)``", text)
    if " " in message and "smallport explain" not in message
]


@pytest.mark.parametrize("page", PAGES)
def test_each_recipe_has_an_anchor_before_its_title(page):
    found = re.findall(r"^# \.\. _recipe-([\w-]+):\n#\n# .+\n# -+$", TEXTS[page], re.MULTILINE)
    assert found == ANCHORS[page]


@pytest.mark.parametrize("page", PAGES)
def test_the_list_of_messages_leads_to_each_recipe(page):
    led_to = set(re.findall(r"<recipe-([\w-]+)>`", LISTS[page]))
    assert led_to >= set(ANCHORS[page])
    if page == TORCH_PAGE:
        assert led_to == {recipe.anchor for recipe in RECIPES}


def test_a_recipe_knows_its_page():
    for recipe in RECIPES:
        assert recipe.anchor in ANCHORS[recipe.page]


@pytest.mark.parametrize(("page", "message"), MESSAGES)
def test_a_listed_message_is_one_that_the_pages_announce_or_log(page, message):
    constants = [
        node.value
        for text in ([TEXTS[page]] if page != TORCH_PAGE else TEXTS.values())
        for statement in ast.parse(text).body[1:]
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    for part in message.split(" … "):
        assert any(part in constant for constant in constants), part


def test_there_are_messages_on_each_page():
    assert {page for page, _ in MESSAGES} == set(PAGES)
    assert len(MESSAGES) >= len(RECIPES)
