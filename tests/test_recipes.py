"""An error is led to the recipe of the cookbook that explains it, or to none."""

import re
from pathlib import Path

import pytest

from smallport.export.recipes import RECIPES, error_text, recipe_for

COOKBOOK = Path(__file__).parents[1] / "examples" / "export" / "plot_20_export_error_cookbook.py"


@pytest.mark.parametrize(
    ("error", "anchor"),
    [
        ("UserError: Cannot associate shape [[{...}]] specified at", "cache-no-pytree"),
        ("ValueError: Node arity mismatch; expected 4, but got 2.", "shapes-nested"),
        ("Expected dynamic shape spec to be None, an int, ...", "shapes-nested"),
        (
            "your code specialized it to be a constant (25)",
            "dimension-specialized",
        ),
        ("your code specialized it to be a constant (1)", "size-one-specialized"),
        ("export 0/1 specialized due to hint of 1 for dimension", "size-one-specialized"),
        ("The values of a and b must always be equal.", "dimensions-equal"),
        ("Guard failed: attention_mask.size()[1] >= 4", "guard-refuses"),
        (
            (
                "Guard failed: input_ids.size()[1] + past_key_values[0].size()[2] + -1 * "
                "attention_mask.size()[1] <= 0"
            ),
            "inputs-changed",
        ),
        ("GuardOnDataDependentSymNode: Could not guard on data-dependent", "data-dependent"),
        (
            "RuntimeError: We ran into an error when deserializing the saved file.",
            "program-reloaded",
        ),
        ("MemoryError", ""),
    ],
)
def test_an_error_is_led_to_its_recipe(error, anchor):
    assert recipe_for(error) == anchor


def test_every_recipe_has_its_anchor_in_the_cookbook():
    text = COOKBOOK.read_text(encoding="utf-8")
    anchors = re.findall(r"^# \.\. _recipe-(.+):$", text, re.MULTILINE)
    assert {anchor for anchor, _ in RECIPES} <= set(anchors)


def test_what_changes_from_run_to_run_is_left_out_of_an_error():
    here = Path(__file__).parents[1]
    error = RuntimeError(f"at {here}/src/file.py, <object at 0x7f00deadbeef>")
    assert error_text(error) == "RuntimeError: at file.py, <object at 0x...>"


def test_colours_are_left_out_of_an_error():
    assert error_text(RuntimeError("\x1b[96mstep 3\x1b[0m of 3")) == "RuntimeError: step 3 of 3"
