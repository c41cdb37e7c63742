"""Tests of :mod:`smallport.parity.inputs`."""

import dataclasses
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smallport.parity import InputShape, cache_argument, copy_inputs, dynamic_shapes, name_inputs
from smallport.parity.inputs import Vocabulary, random_text
from smallport.tiny_llm import make_inputs, tiny_llm_config, untrained_tiny_llm

SMALL = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32}


@given(
    shape=st.builds(InputShape, st.integers(1, 5), st.integers(1, 40), st.integers(1, 40)),
    layers=st.integers(1, 3),
    with_cache=st.booleans(),
)
@settings(max_examples=50)
def test_inputs_and_shapes_fit_each_other(shape, layers, with_cache):
    config = tiny_llm_config(num_hidden_layers=layers)
    inputs = make_inputs(config, shape, with_cache=with_cache)
    batch, past, new = shape.batch_size, shape.cache_length if with_cache else 0, shape.new_tokens
    named = name_inputs(inputs)
    assert named.pop("input_ids").shape == (batch, new)
    assert torch.equal(
        named.pop("attention_mask"), torch.ones(batch, past + new, dtype=torch.int64)
    )
    positions = named.pop("position_ids")
    assert torch.equal(positions, torch.arange(past, past + new).expand(batch, -1))
    assert len(named) == 2 * layers * with_cache
    assert all(tensor.shape == (batch, 1, past, 96) for tensor in named.values())

    small = {"hidden_size": 16, "intermediate_size": 32, "vocab_size": 50}
    shapes = untrained_tiny_llm(
        shape, with_cache=with_cache, num_hidden_layers=layers, **small
    ).dynamic_shapes
    dynamic = torch.export.Dim.DYNAMIC
    names = ("input_ids", "attention_mask", "position_ids")
    text = {name: {0: dynamic, 1: dynamic} for name in names}
    cache = {cache_argument(): [{0: dynamic, 2: dynamic}] * 2 * layers}
    assert shapes == (text | cache if with_cache else text)
    assert list(shapes) == list(inputs)


def test_dynamic_shapes_of_a_text_as_long_as_the_model_has_positions():
    longest = untrained_tiny_llm(InputShape(cache_length=1023, new_tokens=1), **SMALL)
    assert longest.dynamic_shapes == untrained_tiny_llm(**SMALL).dynamic_shapes


def test_dynamic_shapes_of_other_inputs():
    config = tiny_llm_config()
    inputs = make_inputs(config)
    same_batch = make_inputs(config, InputShape(2, 7, 5))
    assert list(dynamic_shapes(inputs, same_batch)[cache_argument()][0]) == [2]
    with pytest.raises(ValueError, match="pass a cache whose layers are all filled"):
        dynamic_shapes(inputs, make_inputs(config, with_cache=False))


def test_inputs_are_drawn_from_their_seed():
    def drawn(seed):
        return name_inputs(make_inputs(tiny_llm_config(), seed=seed))

    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = drawn(0), drawn(0), drawn(1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    for name in ("input_ids", "past_key_values.0.key", "past_key_values.0.value"):
        assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize("name", ["batch_size", "cache_length", "new_tokens"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True, None])
def test_a_size_must_be_a_positive_integer(name, value):
    message = f"{name} must be a positive integer, not {value!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        untrained_tiny_llm(InputShape(**{name: value}))


def test_no_cache_is_asked_for_by_name():
    empty = InputShape(cache_length=0)
    with pytest.raises(ValueError, match="with_cache=False"):
        make_inputs(tiny_llm_config(), empty)
    assert cache_argument() not in make_inputs(tiny_llm_config(), empty, with_cache=False)


def test_texts_longer_than_the_model_has_positions():
    config = tiny_llm_config()
    longest = make_inputs(config, InputShape(cache_length=1021, new_tokens=3))
    assert longest["attention_mask"].shape[1] == 1024
    message = "a cache_length of 1022 and 3 new_tokens make 1025, and the model has 1024 positions"
    with pytest.raises(ValueError, match=message):
        make_inputs(config, InputShape(cache_length=1022, new_tokens=3))
    with pytest.raises(ValueError, match="1025"):
        make_inputs(config, InputShape(new_tokens=1025), with_cache=False)


def test_padding_is_masked_and_not_counted():
    shape = InputShape(batch_size=2, cache_length=4, new_tokens=2, padding=3)
    inputs = make_inputs(tiny_llm_config(), shape)
    assert inputs["attention_mask"].tolist() == [[0, 0, 0, 1, 1, 1], [1] * 6]
    assert inputs["position_ids"].tolist() == [[1, 2], [4, 5]]


@pytest.mark.parametrize("padding", [-1, 5])
def test_more_padding_than_the_cache_holds_is_refused(padding):
    with pytest.raises(ValueError, match=f"between 0 and the cache_length, 4, not {padding}"):
        make_inputs(tiny_llm_config(), InputShape(cache_length=4, padding=padding))


def test_a_copy_of_the_inputs_survives_the_forward_pass():
    untrained = untrained_tiny_llm(**SMALL)
    used = copy_inputs(untrained.inputs)
    with torch.no_grad():
        untrained.model(**used)
    assert used[cache_argument()].get_seq_length() == 33
    assert untrained.inputs[cache_argument()].get_seq_length() == 30


SPECIAL = Vocabulary(
    1000, first=7, padding=500, special=(7, 8, 500, 0, 999), unused=frozenset({3, 600})
)


@given(
    shape=st.builds(InputShape, st.integers(1, 5), st.integers(0, 40), st.integers(1, 300)),
    seed=st.integers(0, 1000),
)
@settings(max_examples=100)
def test_texts_begin_with_the_first_token_and_hold_special_ones(shape, seed):
    length = shape.cache_length + shape.new_tokens
    shape = dataclasses.replace(shape, padding=length // 3)
    text = random_text(SPECIAL, shape, seed=seed)
    ids, mask = text["input_ids"], text["attention_mask"]
    assert torch.equal(ids, random_text(SPECIAL, shape, seed=seed)["input_ids"])
    assert ids[0, : shape.padding].tolist() == [500] * shape.padding
    assert int(mask.sum()) == shape.batch_size * length - shape.padding
    assert ids[0, shape.padding] == 7
    assert ids[2::2, 0].tolist() == [7] * len(ids[2::2])
    assert not {3, 600} & {*ids.flatten().tolist()}
    for row, real in zip(ids, mask, strict=True):
        held = {*row[real == 1].tolist()} & {*SPECIAL.special}
        assert len(held) >= min(len(SPECIAL.special), (int(real.sum()) - 1) // 2)
        assert int(row.min()) >= 0
        assert int(row.max()) < SPECIAL.size


def test_shapes_are_called_by_their_sizes():
    assert str(InputShape(2, 30, 3)) == "batch 2, 30 + 3 tokens"
    assert str(InputShape(2, 30, 3, padding=4)) == "batch 2, 30 + 3 tokens, 4 padded"
    with pytest.raises(dataclasses.FrozenInstanceError):
        InputShape(2, 30, 3).batch_size = 1
