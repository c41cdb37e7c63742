"""An error is led to the recipe that explains it, or to none."""

from pathlib import Path

import pytest
import torch

from smallport.export.recipes import LONGEST, error_text, recipe_for


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
        (
            "ConversionError: ...<class 'DispatchError'>: No ONNX function found for <OpOverload",
            "onnx-function-missing",
        ),
        ("INVALID_ARGUMENT : Got invalid dimensions for input: hidden", "onnx-input-rejected"),
        ("Required inputs (['b']) are missing from input feed (['a']).", "onnx-input-rejected"),
        ("MemoryError", ""),
    ],
)
def test_an_error_is_led_to_its_recipe(error, anchor):
    assert recipe_for(error) == anchor


def test_what_changes_from_run_to_run_is_left_out_of_an_error():
    here = Path(__file__).parents[1]
    error = RuntimeError(f"at {here}/src/file.py, <object at 0x7f00deadbeef>")
    assert error_text(error) == "RuntimeError: at file.py, <object at 0x...>"


@pytest.mark.parametrize("shape", [(), (3,), (40, 40), (2, 3, 4), (0,)])
@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.bool, torch.float64])
def test_the_numbers_of_tensors_are_left_out_of_an_error(shape, kind):
    given = (torch.randn(shape) * 1e6).to(kind).requires_grad_(kind == torch.float32)
    text = error_text(ValueError(f"returned ({given!r}, {given * 1}) instead"))
    assert text.startswith("ValueError: returned (tensor(")
    assert text.endswith(" instead")
    if shape:
        assert text == "ValueError: returned (tensor(...), tensor(...)) instead"


def test_the_middle_of_a_long_error_is_left_out():
    text = error_text(ValueError("begin" + "x" * 10_000 + "Guard failed"))
    assert len(text) < LONGEST + 100
    assert text.startswith("ValueError: begin")
    assert "characters are left out here]" in text
    assert recipe_for(text) == "guard-refuses"


def test_colours_are_left_out_of_an_error():
    assert error_text(RuntimeError("\x1b[96mstep 3\x1b[0m of 3")) == "RuntimeError: step 3 of 3"
