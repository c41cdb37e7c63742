"""Tests of :mod:`smallport.parity.names`."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import LinearAttentionLayer

from smallport.parity import cache_argument, copy_inputs, name_inputs, name_outputs, name_tensors
from smallport.tiny_llm import make_inputs, untrained_tiny_llm

SMALL = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
ZERO, ONE = torch.tensor(0.0), torch.tensor(1.0)


@pytest.fixture(scope="module")
def untrained():
    return untrained_tiny_llm(**SMALL)


def filled_cache(layers=1):
    cache = DynamicCache()
    for layer in range(layers):
        cache.update(torch.zeros(1, 1, 2, 4), torch.ones(1, 1, 2, 4), layer)
    return cache


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
    named = name_outputs(result)
    assert list(named)[:2] == ["logits", "present.0.key"]
    assert torch.equal(named["present.1.value"], result[cache_argument()].layers[1].values)
    assert "present.0.key" in name_outputs(without)  # it was given a cache
    first = make_inputs(untrained.configuration, with_cache=False)
    with torch.no_grad():
        assert list(name_outputs(untrained.model(**first, use_cache=False))) == ["logits"]


def test_an_empty_cache_has_no_tensors(untrained):
    cache = DynamicCache(config=untrained.configuration)
    assert name_inputs({"past_key_values": cache}) == {}


def test_a_cache_of_encoder_and_decoder_keeps_its_two_caches_apart():
    cache = EncoderDecoderCache(filled_cache(), filled_cache())
    assert list(name_tensors(cache)) == [
        "self_attention_cache.0.key",
        "self_attention_cache.0.value",
        "cross_attention_cache.0.key",
        "cross_attention_cache.0.value",
    ]


def test_a_layer_without_keys_and_values():
    layer = LinearAttentionLayer()
    layer.recurrent_states[0] = ONE
    cache = DynamicCache()
    cache.layers = [*filled_cache().layers, layer]
    named = name_tensors(cache, "past_key_values")
    assert list(named)[-1] == "past_key_values.1.recurrent_states.0"
    assert named["past_key_values.1.recurrent_states.0"] is ONE


def test_a_tensor_that_a_cache_keeps_beside_its_layers():
    cache = filled_cache()
    cache.seen_tokens = ONE
    assert list(name_tensors(cache)) == ["0.key", "0.value", "seen_tokens"]


@dataclass
class RecurrentState:
    """A state that is no cache of transformers."""

    hidden: torch.Tensor
    by_layer: dict[int, Any] = field(default_factory=dict)
    length: int = 3


@dataclass(slots=True)
class SlottedState:
    """A state without a dictionary."""

    hidden: torch.Tensor


def test_tensors_in_the_attributes_of_an_object():
    state = RecurrentState(ZERO, {0: (ONE, [SlottedState(ZERO)]), 1: None})
    assert name_tensors(state, "state") == {
        "state.hidden": ZERO,
        "state.by_layer.0.0": ONE,
        "state.by_layer.0.1.0.hidden": ZERO,
    }


def test_objects_that_refer_to_each_other():
    parent, child = SimpleNamespace(state=ZERO), SimpleNamespace(state=ONE)
    parent.child, child.parent = child, parent
    parent.all = [parent, child]
    assert name_tensors(parent) == {"state": ZERO, "child.state": ONE, "all.1.state": ONE}


def test_a_tensor_in_two_places_has_two_names():
    shared = [ONE]
    assert list(name_tensors({"a": shared, "b": shared})) == ["a.0", "b.0"]


@pytest.mark.parametrize("value", [None, 3, "text", RecurrentState, torch.nn.Linear(1, 1), {}])
def test_what_holds_no_tensors_of_a_call(value):
    assert name_tensors(value) == {}
    assert name_tensors([value, ONE]) == {"1": ONE}


def test_two_tensors_of_one_name():
    with pytest.raises(ValueError, match=r"two tensors are called 'a\.b'; rename one of them"):
        name_tensors({"a": {"b": ZERO}, "a.b": ONE})


def structures():
    return st.recursive(
        st.builds(torch.tensor, st.floats(0, 1)) | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
            | st.dictionaries(st.sampled_from("abc"), inner).map(lambda d: SimpleNamespace(**d))
        ),
        max_leaves=12,
    )


def at(value, name):
    """Walk from a structure to the tensor of a name, independently of how names are made."""
    for part in filter(None, name.split(".")):
        if isinstance(value, list | tuple):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value[part]
        else:
            value = getattr(value, part)
    return value


@given(structures())
def test_each_name_leads_to_its_tensor_and_no_tensor_is_left_out(value):
    named = name_tensors(value)
    assert all(at(value, name) is tensor for name, tensor in named.items())
    assert len(named) == repr(value).count("tensor(")
