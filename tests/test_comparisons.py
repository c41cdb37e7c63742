"""Tests of :mod:`smallport.export.comparisons`: what differs is found where it is, and no other."""

import random
import sys

import pytest
import torch

from smallport.architectures.tiny import tiny_model
from smallport.export.comparisons import StageFailure, compare_decoding, compare_shapes
from smallport.export.examine import examine_model
from smallport.parity.names import name_outputs


@pytest.fixture(scope="module")
def under_test():
    return examine_model(tiny_model("llama"))


@pytest.fixture(autouse=True)
def _model_in_place_of_its_program(monkeypatch):
    for module in ("compare", "decoding"):
        comparison = sys.modules[f"smallport.parity.{module}"]
        monkeypatch.setattr(comparison, "require_two_engines", lambda *_: None)


def calls(under_test, change, number):
    """Make a program that is right, but for what ``change`` does in one of its calls."""
    count = iter(range(10**6))

    def run(inputs):
        outputs = dict(under_test.call(**inputs))
        return change(outputs) if next(count) == number else outputs

    return run


def planted(seed, place):
    """Make an error in a random element of a random tensor, and write down where."""
    drawn = random.Random(seed)

    def change(outputs):
        named = name_outputs(outputs)
        name = drawn.choice(sorted(named))
        tensor = named[name]
        if tensor.shape[0] > 1 or name == "logits":  # the first text may begin with padding
            element = [tensor.shape[0] - 1, *(drawn.randrange(size) for size in tensor.shape[1:])]
        else:
            element = [drawn.randrange(size) for size in tensor.shape]
        with torch.no_grad():
            tensor[tuple(element)] += 1
        place.append(f"{name}{element} is ")
        return outputs

    return change


@pytest.mark.parametrize("seed", range(12))
def test_an_error_is_found_at_its_shape_tensor_and_element(under_test, seed):
    shapes, place = under_test.test_shapes(), []
    number = random.Random(seed).randrange(len(shapes))
    with pytest.raises(StageFailure) as failure:
        compare_shapes(under_test, calls(under_test, planted(seed, place), number), shapes)
    assert f"differs from the model at 1 of {len(shapes)} shapes" in failure.value.found
    assert failure.value.difference.where.startswith(place[0])
    assert failure.value.difference.where.endswith(f"at {shapes[number]}")
    assert not failure.value.rejected


@pytest.mark.parametrize("seed", range(8))
def test_an_error_is_found_at_its_step(under_test, seed):
    number, place = random.Random(seed).randrange(8), []
    with pytest.raises(StageFailure) as failure:
        compare_decoding(under_test, calls(under_test, planted(seed, place), number))
    assert failure.value.difference.where.startswith(place[0])
    assert failure.value.difference.where.endswith(f"at step {number}")


def rejecting(_):
    raise AssertionError("Guard failed: 256 >= length")


def test_a_rejection_is_no_difference(under_test):
    shapes = under_test.test_shapes()
    for number in (0, len(shapes) - 1):
        with pytest.raises(StageFailure) as failure:
            compare_shapes(under_test, calls(under_test, rejecting, number), shapes)
        assert (
            failure.value.found == f"it rejects 1 of {len(shapes)} shapes, and agrees at the others"
        )
        assert failure.value.rejected == (f"{shapes[number]} (Guard failed: 256 >= length)",)
        assert failure.value.difference is None


def test_a_rejection_while_decoding_is_one(under_test):
    with pytest.raises(StageFailure) as failure:
        compare_decoding(under_test, calls(under_test, rejecting, 3))
    assert failure.value.found == "it rejects a step of decoding"
    assert "Guard failed" in failure.value.rejected[0]


def test_what_rejects_and_differs_is_told_as_both(under_test):
    shapes, place = under_test.test_shapes(), []
    change = planted(0, place)
    count = iter(range(10**6))

    def run(inputs):
        outputs = dict(under_test.call(**inputs))
        number = next(count)
        return rejecting(outputs) if number == 1 else change(outputs) if number == 2 else outputs

    with pytest.raises(StageFailure) as failure:
        compare_shapes(under_test, run, shapes)
    assert failure.value.found.endswith(f"; it rejects 1 of {len(shapes)} shapes")
    assert failure.value.difference.where.startswith(place[0])
    assert len(failure.value.rejected) == 1
