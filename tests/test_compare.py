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
    cache_argument,
    closeness,
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
        return compare(untrained.model, run, shapes, make_inputs=inputs, eager=True)

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


def test_numbers_that_differ_are_written_with_the_digits_in_which_they_do():
    one = torch.tensor([0.15164413], dtype=torch.float32)
    other = torch.nextafter(one, torch.tensor([1.0]))
    said = discrepancy({"logits": one}, {"logits": other}).where.removeprefix("logits[0] is ")
    found, wanted = said.split(" instead of ")
    assert found != wanted
    assert float(found) > float(wanted)


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
@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (math.nan, math.nan, math.nan),
        (math.nan, 0.0, math.nan),
        (-math.inf, math.nan, math.nan),
        (-math.inf, -math.inf, 0),
        (-math.inf, math.inf, math.inf),
        (-math.inf, -1e9, math.inf),
        (1.0, math.inf, math.inf),
    ],
)
def test_infinities_are_equal_where_they_are_the_same_and_nan_never_is(name, one, other, apart):
    left, right = result(), result()
    for tensors, value in ((left, one), (right, other)):
        tensors[name] = torch.tensor([[1.0, 2.0, 3.0], [4.0, value, 6.0]])
    for found in (discrepancy(left, right), discrepancy(right, left)):
        assert str(found.largest()) == str(float(apart))
        assert found.tolerable == (apart == 0)
        assert found.where.startswith(f"{name}[1, 1]" if apart else "")
        assert apart == 0 or found.worst() == name


FORBIDDEN = [0.0, -1e4, -65504.0, -1e9, torch.finfo(torch.float32).min, -math.inf]


def rows(seed, sizes=(2, 3, 40)):
    """Draw numbers as logits and caches hold them."""
    return torch.randn(sizes, generator=torch.Generator().manual_seed(seed))


@given(
    seed=st.integers(0, 2**31),
    value=st.sampled_from(FORBIDDEN),
    forbidden=st.sampled_from([1, 20, 38]),
    added=st.booleans(),
    place=st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(38, 39)),
)
def test_an_error_beside_forbidden_tokens_is_found(seed, value, forbidden, added, place):
    """Whether a token is given the number or has it added, and whether one is or nearly all."""
    logits = rows(seed)
    kept = logits.clone() if added and abs(value) < 1e30 and forbidden < 38 else 0 * logits
    logits[..., :forbidden] = kept[..., :forbidden] + value
    wrong = logits.clone()
    wrong[place] += 0.01 * (1 + abs(float(logits[place])))
    found = discrepancy({"logits": logits, "key": rows(0)}, {"logits": wrong, "key": rows(0)})
    assert not found.tolerable
    assert found.where.startswith(f"logits{list(place)} is ")
    assert discrepancy({"logits": logits}, {"logits": logits.clone()}).largest() == 0


@given(seed=st.integers(0, 2**31), times=st.sampled_from([1, 100, 1000]), data=st.data())
def test_a_channel_that_is_a_thousand_times_larger_neither_hides_nor_alarms(seed, times, data):
    keys = rows(seed, (2, 2, 5, 8))
    keys[..., 3] = times * keys[..., 3].sign()
    spacing = torch.finfo(torch.float32).eps * keys.abs().amax(dim=-1, keepdim=True)
    rounded = keys + 2 * spacing * (2 * torch.rand(keys.shape) - 1)
    found = discrepancy({"present.0.key": keys}, {"present.0.key": rounded})
    assert found.tolerable, found.where
    place = tuple(data.draw(st.integers(0, size - 1)) for size in keys.shape)
    rounded[place] += 0.02 * (1 + keys[place].abs())
    found = discrepancy({"present.0.key": keys}, {"present.0.key": rounded})
    assert not found.tolerable
    assert found.where.startswith(f"present.0.key{list(place)} is ")


def test_rows_that_cancel_are_measured_by_the_others():
    values = rows(0, (8, 4))
    values[2] *= 1e-6
    assert discrepancy({"value": values}, {"value": values + 1e-6}).tolerable
    single = rows(0, (8, 1))
    single[2] = 1e-9
    assert discrepancy({"value": single}, {"value": single + 1e-6}).tolerable


def test_integers_that_differ_are_never_tolerated():
    for one, other in [([50_000, 1], [50_001, 1]), ([2**60, 1], [2**60 + 1, 1])]:
        found = discrepancy({"ids": torch.tensor(one)}, {"ids": torch.tensor(other)})
        assert (found.relative, found.tolerable) == (1, False)
        assert found.where.startswith("ids[0] is ")


@given(data=st.data())
def test_an_error_is_found_at_its_shape_tensor_and_element(data):
    shapes = {1: (2, 3), 2: (1, 7), 3: (4, 1)}

    def outputs(shape):
        return {"logits": rows(shape, (*shapes[shape], 30)), "key": rows(-shape % 9, (2, 5, 4))}

    at = data.draw(st.sampled_from(list(shapes)))
    name = data.draw(st.sampled_from(["logits", "key"]))
    place = tuple(data.draw(st.integers(0, size - 1)) for size in outputs(at)[name].shape)

    def run(inputs):
        found = outputs(inputs["shape"])
        if inputs["shape"] == at:
            found[name][place] += 0.01 * (1 + found[name][place].abs())
        return found

    found = compare(outputs, run, shapes, make_inputs=lambda n: {"shape": n})
    assert [shape for shape, one in found.items() if not one.tolerable] == [at]
    worst = worst_of(found.values())
    assert [one for one, share in worst.shares.items() if share] == [name]
    assert worst.where.startswith(f"{name}{list(place)} is ")
    assert worst.where.endswith(f" at {at}")


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


def test_a_model_is_not_compared_with_itself(untrained, compare_at):
    inputs = functools.partial(make_inputs, untrained.configuration)

    def itself(inputs):
        return untrained.model(**inputs)

    with pytest.raises(ValueError, match=r"exactly 0.* \(LlamaAttention, LlamaDecoderLayer, "):
        compare(untrained.model, itself, SHAPES, make_inputs=inputs)
    compare_at(itself)

    def rounded(inputs):
        outputs = name_outputs(itself(inputs))
        return outputs | {"logits": outputs["logits"] + 1e-7}

    compare(untrained.model, rounded, SHAPES, make_inputs=inputs)


def test_each_result_says_which_inputs_it_is_of(untrained, compare_at):
    found = compare_at(lambda inputs: untrained.model(**inputs))
    assert found[SHAPES[1]].ran.startswith(f"{SHAPES[1]}: [(3, 5), (3, 12), (3, 5), (3, ")
    with pytest.raises(ValueError, match="two results are of the same inputs"):
        worst_of(dict.fromkeys(SHAPES, found[SHAPES[0]]).values())


def test_both_sides_get_inputs_of_their_own(untrained, compare_at):
    seen = []

    def run(inputs):
        seen.append(inputs[cache_argument()].get_seq_length())
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
    found = compare(untrained.model, run, SHAPES, make_inputs=inputs, errors=errors, eager=True)
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


@pytest.mark.parametrize("seed", range(20))
def test_a_large_tensor_is_measured_as_a_small_one(monkeypatch, seed):
    """In parts, of which only those are measured that may hold the largest difference."""
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(3, 5, 7, generator=generator)
    changed = tensor + 1e-3 * torch.randn(3, 5, 7, generator=generator)
    place = int(torch.randint(tensor.numel(), (), generator=generator))
    changed.view(-1)[place] += [1.0, float("nan")][seed % 2]
    whole = closeness.discrepancy({"logits": tensor}, {"logits": changed})
    monkeypatch.setattr(closeness, "PART", 14)
    parts = closeness.discrepancy({"logits": tensor}, {"logits": changed})
    element = [int(index) for index in torch.unravel_index(torch.tensor(place), tensor.shape)]
    assert whole.where == parts.where
    assert parts.where.startswith(f"logits{element} is ")
    assert str(whole.by_tensor) == str(parts.by_tensor)
