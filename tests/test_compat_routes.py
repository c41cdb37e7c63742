"""Tests of :mod:`tools.compat.routes`."""

from contextlib import contextmanager, nullcontext

import pytest

from tools.compat.routes import (
    EXPORTED,
    MATCHES,
    NO_IMPORT,
    REJECTED,
    ROUTES,
    TEST_SHAPES,
    Route,
    failed,
    judge,
    without_folders,
)


def stand_in(change=lambda outputs, _: outputs):
    """Make a route whose program is the model itself, with something changed in what it returns."""

    def export(tiny):
        return nullcontext(lambda **inputs: change(tiny.model(**inputs), inputs))

    return Route((), lambda: export)


def test_a_program_that_equals_the_model_matches():
    outcome = judge(stand_in())
    assert (outcome.outcome, outcome.found) == (MATCHES, "")
    assert outcome.shapes == len(TEST_SHAPES)
    assert outcome.tensors == 5 * len(TEST_SHAPES)  # logits, and keys and values of two layers
    assert outcome.largest == 0


def test_a_wrong_number_in_the_logits_is_found():
    def spoil(outputs, _):
        outputs.logits[0, -1, 7] += 0.1
        return outputs

    outcome = judge(stand_in(spoil))
    assert outcome.outcome == EXPORTED
    assert outcome.found.startswith("differs: logits")
    assert outcome.largest > 1e-4


def test_a_wrong_number_in_the_cache_of_one_shape_is_found():
    def spoil(outputs, inputs):
        if inputs["input_ids"].shape == (1, 1):
            outputs.past_key_values.layers[1].values[0, 0, 0, 0] = float("nan")
        return outputs

    outcome = judge(stand_in(spoil))
    assert outcome.outcome == EXPORTED
    assert outcome.found.startswith("differs: present.1.value")
    assert outcome.largest is None


def test_a_program_that_rejects_a_batch_of_one_is_not_called_matching():
    def reject(outputs, inputs):
        if len(inputs["input_ids"]) == 1:
            raise ValueError("batch must be 2 or more\nsecond line")
        return outputs

    outcome = judge(stand_in(reject))
    assert outcome.outcome == EXPORTED
    assert outcome.found == (
        "rejects 2 of 7 shapes, such as batch 1, 30 + 3 tokens: ValueError: batch must be 2 or more"
    )
    assert outcome.traceback.endswith("second line")
    assert outcome.shapes == len(TEST_SHAPES) - 2


def test_an_export_that_raises_is_rejected():
    @contextmanager
    def export(_):
        raise TypeError("no such argument")
        yield

    outcome = judge(Route((), lambda: export))
    assert (outcome.outcome, outcome.found) == (REJECTED, "TypeError: no such argument")


def test_what_the_route_needs_and_cannot_import_is_told_from_what_it_rejects():
    def prepare():
        import transformers.no_such_module  # noqa: F401, PLC0415

    outcome = judge(Route((), prepare))
    assert outcome.outcome == NO_IMPORT
    assert outcome.found.startswith("ModuleNotFoundError: No module named 'transformers.no_such")


@pytest.mark.parametrize("route", ["plain torch.export", "transformers' exporters"])
def test_a_route_with_the_installed_versions(route):
    from smallport.export import without_cache_pytrees  # noqa: PLC0415

    with without_cache_pytrees():
        outcome = judge(ROUTES[route])
    assert outcome.outcome == (REJECTED if route.startswith("plain") else MATCHES), outcome


def test_an_error_without_text_is_named():
    assert failed(REJECTED, NotImplementedError()).found == "NotImplementedError"


def test_folders_of_the_machine_are_left_out(monkeypatch):
    monkeypatch.setattr("sys.path", ["/a", "/a/packages/torch-2", ""])
    assert without_folders('File "/a/packages/torch-2/torch/x.py"') == 'File "torch/x.py"'
