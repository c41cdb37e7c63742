"""Tests of :mod:`smallport.export`, and of what the page on exporting says without showing it."""

import dataclasses
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.utils import _pytree as pytree
from transformers import DynamicCache, StaticCache
from transformers.exporters import exporter_dynamo

from smallport.export import (
    Difference,
    Step,
    caches_unregistered,
    code_excerpt,
    compare,
    copy_inputs,
    discrepancies_table,
    make_inputs,
    name_inputs,
    name_outputs,
    run_session,
    tiny_llm_config,
    untrained_tiny_llm,
    worst_of,
)

EXPORTERS = "transformers.exporters.exporter_dynamo"
SMALL = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
STEPS = [Step(2, 30, 3), Step(3, 7, 5), Step(1, 9, 1)]


@pytest.fixture(autouse=True)
def _registry():
    with caches_unregistered():
        yield


@pytest.fixture(scope="module")
def untrained():
    return untrained_tiny_llm(**SMALL)


def flatten(cache):
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)], None


def register(cls=DynamicCache, name="tests.Cache"):
    pytree.register_pytree_node(cls, flatten, lambda *_: None, serialized_type_name=name)


def tables():
    return (
        dict(pytree.SUPPORTED_NODES),
        dict(pytree.SUPPORTED_SERIALIZED_TYPES),
        dict(pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE),
    )


def test_what_was_registered_is_put_aside_and_put_back():
    exporter_dynamo.register_pytree_node(DynamicCache)
    register(StaticCache)
    before = tables()
    with caches_unregistered():
        assert registering_module(DynamicCache) is None
        assert registering_module(StaticCache) is None
        register()
        assert registering_module(DynamicCache) == __name__
    assert registering_module(DynamicCache) == EXPORTERS
    assert tables() == before


def test_what_the_block_registers_is_gone_after_it_even_if_it_fails():
    before = tables()

    def fail():
        register()
        raise KeyError

    with pytest.raises(KeyError), caches_unregistered():
        fail()
    assert registering_module(DynamicCache) is None
    assert tables() == before


def test_classes_that_were_registered_without_a_name():
    register(name=None)
    register(StaticCache, name=None)
    with caches_unregistered():
        register(name=None)
    assert registering_module(DynamicCache) == registering_module(StaticCache) == __name__


def test_the_registry_of_optree_is_kept_in_step(monkeypatch):
    left = []
    optree = SimpleNamespace(
        unregister_pytree_node=lambda *args, **kwargs: left.append((args, kwargs))
    )
    register()
    monkeypatch.setitem(sys.modules, "optree", optree)
    monkeypatch.setattr(pytree, "_cxx_pytree_exists", False)
    monkeypatch.setattr(pytree, "_cxx_pytree_imported", True)
    with caches_unregistered():
        pass
    assert left == [((DynamicCache,), {"namespace": "torch"})]


def test_registrations_that_wait_for_optree_do_not_pile_up(monkeypatch):
    pending = [((DynamicCache, None, None), {}), ((int, None, None), {})]
    register()
    monkeypatch.setattr(pytree, "_cxx_pytree_pending_imports", pending)
    with caches_unregistered():
        assert [entry[0][0] for entry in pending] == [int]


def test_a_copy_of_the_inputs_survives_the_forward_pass(untrained):
    used = copy_inputs(untrained.inputs)
    with torch.no_grad():
        untrained.model(**used)
    assert used["past_key_values"].get_seq_length() == 33
    assert untrained.inputs["past_key_values"].get_seq_length() == 30


def test_names_of_inputs_and_outputs(untrained):
    assert list(name_inputs(untrained.inputs)) == [
        "input_ids",
        "attention_mask",
        "position_ids",
        "past_key_values.0.key",
        "past_key_values.0.value",
        "past_key_values.1.key",
        "past_key_values.1.value",
    ]
    with torch.no_grad():
        result = untrained.model(**copy_inputs(untrained.inputs))
        without = untrained.model(**copy_inputs(untrained.inputs), use_cache=False)
    assert list(name_outputs(result))[:2] == ["logits", "present.0.key"]
    assert torch.equal(
        name_outputs(result)["present.1.value"], result.past_key_values.layers[1].values
    )
    assert "present.0.key" in name_outputs(without)  # it was given a cache
    first = make_inputs(untrained.configuration, with_cache=False)
    with torch.no_grad():
        assert list(name_outputs(untrained.model(**first, use_cache=False))) == ["logits"]


def test_an_empty_cache_has_no_tensors(untrained):
    cache = DynamicCache(config=untrained.configuration)
    assert name_inputs({"past_key_values": cache}) == {}


def result(**tensors):
    return {"logits": torch.zeros(2, 3), "present.0.key": torch.zeros(2, 4)} | tensors


def test_equal_results_do_not_differ():
    assert compare(result(), result()) == Difference(0.0, 0.0, "")


@given(
    hnp.arrays(np.float32, (3, 2), elements=st.floats(-1e3, 1e3, width=32)),
    hnp.arrays(np.float32, (3, 2), elements=st.floats(-1e3, 1e3, width=32)),
)
def test_the_difference_is_the_largest_and_symmetric(one, other):
    left, right = {"logits": torch.from_numpy(one)}, {"logits": torch.from_numpy(other)}
    difference = compare(left, right)
    assert difference == compare(right, left)
    assert difference.logits == np.abs(one.astype(float) - other.astype(float)).max()
    assert (difference.logits == 0) == np.array_equal(one, other)


def test_each_cache_tensor_counts():
    expected = result(**{f"present.{n}.key": torch.zeros(2, 4) for n in range(3)})
    wrong = expected | {"present.2.key": torch.full((2, 4), -0.5)}
    assert compare(expected, wrong) == Difference(0.0, 0.5, "present.2.key")


@pytest.mark.parametrize("name", ["logits", "present.0.key"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinity_are_never_equal(name, value):
    tensor = result()[name].clone()
    tensor[0, 0] = value
    difference = compare(result(**{name: tensor}), result(**{name: tensor}))
    assert math.isnan(difference.logits if name == "logits" else difference.cache)
    assert difference.worst == ("" if name == "logits" else name)


def test_nan_is_the_worst_of_all():
    numbers = [Difference(n, n, "a") for n in (0.5, math.nan, 0.7)]
    for order in (numbers, numbers[::-1], numbers[1:], numbers[:2]):
        assert math.isnan(worst_of(order).logits)
        assert math.isnan(worst_of(order).cache)
    assert worst_of(numbers[::2]).logits == 0.7
    with pytest.raises(ValueError, match="nothing was compared"):
        worst_of([])


def test_nothing_differs_in_an_empty_tensor():
    empty = result(**{"present.0.key": torch.zeros(2, 0)})
    assert compare(empty, empty) == Difference(0.0, 0.0, "")


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
        compare(result(), result(**wrong))


def test_a_missing_cache_tensor_is_named():
    with pytest.raises(
        ValueError, match=r"expected the tensors logits, present\.0\.key, found logits"
    ):
        compare(result(), {"logits": torch.zeros(2, 3)})


def eager(model):
    return lambda inputs: name_outputs(model(**copy_inputs(inputs)))


def test_a_model_equals_its_like_and_differs_from_another(untrained):
    same = untrained_tiny_llm(**SMALL).model
    differences = compare(same, eager(untrained.model), STEPS)
    assert list(differences) == STEPS
    assert set(differences.values()) == {Difference(0.0, 0.0, "")}

    other = untrained_tiny_llm(seed=1, **SMALL).model
    worst = worst_of(compare(other, eager(untrained.model), STEPS).values())
    assert worst.logits > 1e-3
    assert worst.cache > 1e-3


def test_a_zeroed_key_tensor_shows_though_the_logits_are_right(untrained):
    def run(inputs):
        outputs = name_outputs(untrained.model(**inputs))
        return outputs | {"present.1.key": torch.zeros_like(outputs["present.1.key"])}

    difference = compare(untrained.model, run, STEPS[:1])[STEPS[0]]
    assert difference.logits == 0
    assert difference.cache > 0.1
    assert difference.worst == "present.1.key"


def test_an_ignored_mask_shows_where_a_text_is_padded(untrained):
    def run(inputs):
        inputs["attention_mask"].fill_(1)
        return name_outputs(untrained.model(**inputs))

    full, padded = Step(2, 30, 3), Step(2, 30, 3, padding=9)
    differences = compare(untrained.model, run, [full, padded])
    assert differences[full].logits == 0
    assert differences[padded].logits > 1e-3


def test_the_table_has_a_row_for_each_step():
    table = discrepancies_table({STEPS[0]: Difference(0.5, 0.25, "present.0.key")})
    assert table.to_numpy().tolist() == [[2, 30, 3, 0, 0.5, 0.25, "present.0.key"]]


def test_steps_are_called_by_their_sizes():
    assert str(Step(2, 30, 3)) == "batch 2, 30 + 3 tokens"
    assert str(Step(2, 30, 3, padding=4)) == "batch 2, 30 + 3 tokens, 4 padded"
    with pytest.raises(dataclasses.FrozenInstanceError):
        Step(2, 30, 3).batch_size = 1


class FakeSession:
    """An ONNX Runtime session whose one output is the sum of an input."""

    def __init__(self, *inputs):
        self.inputs = inputs

    def get_inputs(self):
        """List the inputs."""
        return [SimpleNamespace(name=name) for name in self.inputs]

    def get_outputs(self):
        """List the outputs."""
        return [SimpleNamespace(name="logits")]

    def run(self, _names, feed):
        """Add up."""
        assert list(feed) == list(self.inputs)
        return [np.float32(feed["input_ids"].sum())]


def test_a_session_is_fed_by_name_in_its_own_order():
    inputs = {"input_ids": torch.tensor([[1, 2]]), "attention_mask": torch.tensor([[1, 1]])}
    session = FakeSession("attention_mask", "input_ids")
    assert run_session(session, inputs) == {"logits": torch.tensor(3.0)}


def test_a_session_that_wants_other_inputs():
    session = FakeSession("input_ids", "position_ids")
    inputs = {"input_ids": torch.tensor([[1]]), "attention_mask": torch.tensor([[1]])}
    message = "wants position_ids that the inputs do not have, and does not want attention_mask"
    with pytest.raises(ValueError, match=message):
        run_session(session, inputs)


@pytest.fixture(scope="module")
def program(untrained):
    first = make_inputs(untrained.configuration, with_cache=False)
    with torch.no_grad():
        return torch.export.export(untrained.model, (), kwargs=first | {"use_cache": False})


def test_an_excerpt_names_no_file(program):
    assert "site-packages" in str(program)
    excerpt = code_excerpt(program, first=3, last=2, width=60)
    lines = excerpt.splitlines()
    assert "/" not in excerpt
    assert "= None" not in excerpt
    assert lines[0].startswith("def forward(self, ... ")
    assert any(line.strip().endswith("more operations ...") for line in lines)
    assert lines[-1].startswith("    return (")
    assert max(map(len, lines)) <= 64


def test_an_excerpt_that_is_longer_than_the_code_leaves_nothing_out(program):
    whole = code_excerpt(program, first=10_000, width=10_000)
    assert "more operations" not in whole
    assert "torch.ops.aten.embedding" in whole
    with pytest.raises(ValueError, match="cannot be negative"):
        code_excerpt(program, last=-1)


def test_the_export_of_dynamic_rope_dies_of_a_data_dependent_guard():
    rescaled = untrained_tiny_llm(dynamic_rope=True, with_cache=False, **SMALL)
    with pytest.raises(GuardOnDataDependentSymNode):
        torch.export.export(
            rescaled.model, (), kwargs=rescaled.inputs, dynamic_shapes=rescaled.dynamic_shapes
        )


def test_the_model_takes_the_shape_that_the_program_refuses(untrained):
    step = make_inputs(tiny_llm_config(**SMALL), batch_size=1, cache_length=1, new_tokens=1)
    with torch.no_grad():
        assert untrained.model(**step).logits.shape == (1, 1, 50)
