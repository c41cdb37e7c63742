"""Tests of :mod:`smallport.parity.compare`."""

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smallport.parity import (
    Discrepancy,
    InputShape,
    compare,
    discrepancies_table,
    discrepancy,
    name_outputs,
    worst_of,
)
from smallport.tiny_llm import make_inputs, untrained_tiny_llm

SMALL = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
SHAPES = [InputShape(2, 30, 3), InputShape(3, 7, 5), InputShape(1, 9, 1)]
EQUAL = {"logits": 0.0, "present.0.key": 0.0}


@pytest.fixture(scope="module")
def untrained():
    return untrained_tiny_llm(**SMALL)


@pytest.fixture
def compare_at(untrained):
    """Give a function that compares with the model at some shapes."""
    inputs = functools.partial(make_inputs, untrained.configuration)

    def compare_with(run, shapes=SHAPES):
        return compare(untrained.model, run, shapes, make_inputs=inputs)

    return compare_with


def result(**tensors):
    return {"logits": torch.zeros(2, 3), "present.0.key": torch.zeros(2, 4)} | tensors


def test_equal_results_do_not_differ():
    found = discrepancy(result(), result())
    assert found.by_tensor == EQUAL
    assert (found.relative, found.where, found.tolerable) == (0, "", True)
    assert str(found) == "no difference"
    assert found.largest() == found.largest("logits") == found.largest("present") == 0


@given(
    hnp.arrays(np.float32, (3, 2), elements=st.floats(-1e3, 1e3, width=32)),
    hnp.arrays(np.float32, (3, 2), elements=st.floats(-1e3, 1e3, width=32)),
)
def test_the_difference_is_the_largest_and_symmetric(one, other):
    left, right = {"logits": torch.from_numpy(one)}, {"logits": torch.from_numpy(other)}
    found = discrepancy(left, right)
    assert found.by_tensor == discrepancy(right, left).by_tensor
    assert found.largest() == np.abs(one.astype(float) - other.astype(float)).max()
    assert (found.largest() == 0) == np.array_equal(one, other)


def test_each_tensor_counts():
    expected = result(**{f"present.{n}.key": torch.zeros(2, 4) for n in range(3)})
    found = discrepancy(expected, expected | {"present.2.key": torch.full((2, 4), -0.5)})
    assert (found.largest("logits"), found.largest("present"), found.largest()) == (0, 0.5, 0.5)
    assert found.worst() == found.worst("present") == "present.2.key"
    assert str(found) == "largest difference 0.5, in present.2.key"


def test_integers_and_truth_values_are_subtracted_too():
    expected = {"ids": torch.tensor([2**53 + 2, 1]), "mask": torch.tensor([True, False])}
    wrong = {"ids": torch.tensor([2**53, 1]), "mask": torch.tensor([True, True])}
    assert discrepancy(expected, wrong).by_tensor == {"ids": 2.0, "mask": 1.0}


def test_tensors_of_all_sizes_are_on_one_scale():
    expected = {"logits": torch.tensor([1.0, -2.0]), "present.0.key": torch.tensor([1000.0])}
    actual = {"logits": torch.tensor([1.0, -1.5]), "present.0.key": torch.tensor([1001.0])}
    found = discrepancy(expected, actual, "batch 1")
    assert (found.worst(), found.relative) == ("present.0.key", 0.25)
    assert found.where == "logits[1] is -1.5 instead of -2 at batch 1"
    assert not found.tolerable
    less = discrepancy(expected, expected | {"logits": torch.tensor([1.0, -1.9])}, "batch 2")
    for order in ([found, less], [less, found]):
        assert worst_of(order).where == found.where
        assert worst_of(order).largest() == 1.0
    assert worst_of([found, discrepancy(*[{"logits": torch.tensor(math.nan)}] * 2)]).relative != 1
    assert not discrepancy(*[{"logits": torch.tensor(math.nan)}] * 2).tolerable


def test_a_group_that_was_not_compared():
    found = discrepancy(result(), result())
    for look_up in (found.largest, found.worst):
        with pytest.raises(KeyError, match="no tensor of 'state' was compared, only logits, pres"):
            look_up("state")


@pytest.mark.parametrize("name", ["logits", "present.0.key"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinity_are_never_equal(name, value):
    tensor = result()[name].clone()
    tensor[0, 0] = value
    found = discrepancy(result(**{name: tensor}), result(**{name: tensor}))
    assert math.isnan(found.largest())
    assert found.worst() == name


def test_nan_is_the_worst_of_all():
    numbers = [Discrepancy({"a": n, "b": n}) for n in (0.5, math.nan, 0.7)]
    for order in (numbers, numbers[::-1], numbers[1:], numbers[:2]):
        assert math.isnan(worst_of(order).largest("a"))
        assert math.isnan(worst_of(order).largest("b"))
    assert worst_of(numbers[::2]).largest("a") == 0.7
    with pytest.raises(ValueError, match="nothing was compared"):
        worst_of([])


def test_nothing_differs_in_an_empty_tensor():
    empty = result(**{"present.0.key": torch.zeros(2, 0)})
    assert discrepancy(empty, empty).by_tensor == EQUAL


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"logits": torch.zeros(2, 1)},
            r"logits should have the shape \(2, 3\) .*, and has the shape \(2, 1\)",
        ),
        ({"present.0.key": torch.zeros(1, 4)}, r"present.0.key should have the shape \(2, 4\)"),
        ({"logits": torch.zeros(2, 3).double()}, "holds torch.float64"),
        ({"present.0.value": torch.zeros(2, 4)}, "found logits, present.0.key, present.0.value"),
    ],
)
def test_results_of_another_form_are_not_compared(wrong, message):
    with pytest.raises(ValueError, match=message):
        discrepancy(result(), result(**wrong))


def test_a_missing_tensor_is_named():
    message = r"expected the tensors logits, present\.0\.key, found logits"
    with pytest.raises(ValueError, match=message):
        discrepancy(result(), {"logits": torch.zeros(2, 3)})
    with pytest.raises(ValueError, match="expected the tensors nothing, found nothing"):
        discrepancy({}, {})


def test_a_model_equals_its_like_and_differs_from_another(compare_at):
    def eager(model):
        return lambda inputs: model(**inputs)

    found = compare_at(eager(untrained_tiny_llm(**SMALL).model))
    assert list(found) == SHAPES
    assert {one.largest() for one in found.values()} == {0.0}

    worst = worst_of(compare_at(eager(untrained_tiny_llm(seed=1, **SMALL).model)).values())
    assert worst.largest("logits") > 1e-3
    assert worst.largest("present") > 1e-3


def test_a_zeroed_key_tensor_shows_though_the_logits_are_right(untrained, compare_at):
    def run(inputs):
        outputs = name_outputs(untrained.model(**inputs))
        return outputs | {"present.1.key": torch.zeros_like(outputs["present.1.key"])}

    found = compare_at(run)[SHAPES[0]]
    assert found.largest("logits") == 0
    assert found.largest("present") > 0.1
    assert found.worst() == "present.1.key"


@pytest.mark.parametrize(
    ("name", "fault", "shape"),
    [
        ("attention_mask", torch.ones_like, InputShape(2, 30, 3, padding=9)),
        ("position_ids", torch.zeros_like, SHAPES[0]),
        ("input_ids", torch.zeros_like, SHAPES[0]),
    ],
)
def test_an_ignored_input_shows(untrained, compare_at, name, fault, shape):
    def run(inputs):
        return untrained.model(**inputs | {name: fault(inputs[name])})

    found = compare_at(run, [shape])
    assert found[shape].largest("logits") > 1e-3


def test_both_sides_get_inputs_of_their_own(untrained, compare_at):
    seen = []

    def run(inputs):
        seen.append(inputs["past_key_values"].get_seq_length())
        return untrained.model(**inputs)

    compare_at(run)
    assert seen == [shape.cache_length for shape in SHAPES]


def test_errors_of_the_program_can_be_collected(untrained):
    def run(inputs):
        if len(inputs["input_ids"]) == 3:
            raise RuntimeError("no three texts")
        return untrained.model(**inputs)

    errors = {}
    inputs = functools.partial(make_inputs, untrained.configuration)
    found = compare(untrained.model, run, SHAPES, make_inputs=inputs, errors=errors)
    assert list(found) == [SHAPES[0], SHAPES[2]]
    assert {shape: str(error) for shape, error in errors.items()} == {SHAPES[1]: "no three texts"}
    with pytest.raises(RuntimeError, match="no three texts"):
        compare(untrained.model, run, SHAPES, make_inputs=inputs)


def test_padding_is_left_out(untrained, compare_at):
    def run(inputs):
        outputs = name_outputs(untrained.model(**inputs))
        outputs["present.0.key"][0, :, :9] = math.nan
        return outputs

    padded, full = InputShape(2, 30, 3, padding=9), InputShape(2, 30, 3)
    found = compare_at(run, [padded, full])
    assert found[padded].largest() == 0
    assert math.isnan(found[full].largest())


def test_any_model_and_any_shape_can_be_compared():
    def recurrent(x, state):
        return {"y": x.sum(), "state": [state["h"] + x.sum()]}

    found = compare(
        recurrent,
        lambda inputs: {"y": inputs["x"].sum(), "state": [inputs["state"]["h"]]},
        [(2, 3), (4, 1)],
        make_inputs=lambda shape: {"x": torch.ones(shape), "state": {"h": torch.zeros(1)}},
    )
    assert {shape: one.by_tensor for shape, one in found.items()} == {
        (2, 3): {"y": 0.0, "state.0": 6.0},
        (4, 1): {"y": 0.0, "state.0": 4.0},
    }
    table = discrepancies_table(found)
    assert list(table) == ["shape", "difference of y", "difference of state", "worst tensor"]
    assert table.to_numpy().tolist() == [
        [(2, 3), 0.0, 6.0, "state.0"],
        [(4, 1), 0.0, 4.0, "state.0"],
    ]


def test_the_table_has_a_row_for_each_shape():
    differences = {"logits": 0.5, "present.0.key": 0.25, "present.0.value": 0.75}
    table = discrepancies_table(
        {SHAPES[0]: Discrepancy(differences), SHAPES[1]: Discrepancy(EQUAL)}
    )
    assert list(table)[3:] == [
        "padding",
        "difference of logits",
        "difference of present",
        "worst tensor",
    ]
    assert table.to_numpy().tolist() == [
        [2, 30, 3, 0, 0.5, 0.75, "present.0.value"],
        [3, 7, 5, 0, 0.0, 0.0, ""],
    ]
