"""Tests of :mod:`smallport.tiny_llm`."""

import re

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from smallport.export import (
    PARAMETERS,
    SPECIAL_TOKENS,
    copy_inputs,
    make_dynamic_shapes,
    make_inputs,
    name_inputs,
    tiny_llm_config,
    untrained_tiny_llm,
    write_checkpoint,
)

SMALL = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32}
LINES = ["the cat sat on the mat", "", "the dog sat on the cat", "naïve café ☕"]


def test_the_published_size():
    assert untrained_tiny_llm().model.num_parameters() == PARAMETERS == 12_988_992


def test_overrides_reach_the_model():
    untrained = untrained_tiny_llm(num_hidden_layers=3, num_key_value_heads=2, **SMALL)
    assert untrained.model.config.num_hidden_layers == 3
    assert len(untrained.inputs["past_key_values"].layers) == 3
    result = untrained.model(**copy_inputs(untrained.inputs))
    assert result.logits.shape == (2, 3, 50)
    assert result.past_key_values.layers[2].values.shape == (2, 2, 33, 8)


def test_a_misspelt_override_is_refused():
    with pytest.raises(TypeError, match="LlamaConfig has no entry 'num_layers'"):
        tiny_llm_config(num_layers=2)


def test_dynamic_rope_runs_and_conflicts_with_an_override():
    untrained = untrained_tiny_llm(dynamic_rope=True, **SMALL)
    assert untrained.configuration.rope_parameters["rope_type"] == "dynamic"
    assert untrained.model(**untrained.inputs).logits.isfinite().all()
    with pytest.raises(ValueError, match="leave one of them out"):
        tiny_llm_config(dynamic_rope=True, rope_parameters={"rope_type": "default"})


def test_the_model_is_seeded_and_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second = untrained_tiny_llm(**SMALL), untrained_tiny_llm(**SMALL)
    other = untrained_tiny_llm(seed=1, **SMALL)
    assert torch.equal(torch.get_rng_state(), before)
    assert not first.model.training
    assert torch.equal(first.model.lm_head.weight, second.model.lm_head.weight)
    assert torch.equal(first.inputs["input_ids"], second.inputs["input_ids"])
    assert not torch.equal(first.model.lm_head.weight, other.model.lm_head.weight)


@given(
    batch_size=st.integers(1, 5),
    cache_length=st.integers(1, 40),
    new_tokens=st.integers(1, 40),
    layers=st.integers(1, 3),
    with_cache=st.booleans(),
)
@settings(deadline=None, max_examples=50)
def test_inputs_and_shapes_fit_each_other(batch_size, cache_length, new_tokens, layers, with_cache):
    config = tiny_llm_config(num_hidden_layers=layers)
    inputs = make_inputs(
        config,
        batch_size=batch_size,
        cache_length=cache_length,
        new_tokens=new_tokens,
        with_cache=with_cache,
    )
    past = cache_length if with_cache else 0
    named = name_inputs(inputs)
    assert named.pop("input_ids").shape == (batch_size, new_tokens)
    assert named.pop("attention_mask").shape == (batch_size, past + new_tokens)
    positions = named.pop("position_ids")
    assert torch.equal(positions, torch.arange(past, past + new_tokens).expand(batch_size, -1))
    assert len(named) == 2 * layers * with_cache
    assert all(tensor.shape == (batch_size, 1, past, 96) for tensor in named.values())

    shapes = make_dynamic_shapes(config, with_cache=with_cache)
    assert shapes.keys() == inputs.keys()
    if with_cache:
        assert [len(tensors) for tensors in shapes["past_key_values"]] == [layers, layers]


@pytest.mark.parametrize("name", ["batch_size", "cache_length", "new_tokens"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True, None])
def test_a_size_must_be_a_positive_integer(name, value):
    message = f"{name} must be a positive integer, not {value!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        untrained_tiny_llm(**{name: value})


def test_no_cache_is_asked_for_by_name():
    with pytest.raises(ValueError, match="with_cache=False"):
        make_inputs(tiny_llm_config(), cache_length=0)
    assert "past_key_values" not in make_inputs(tiny_llm_config(), cache_length=0, with_cache=False)


def test_texts_longer_than_the_model_has_positions():
    config = tiny_llm_config()
    assert make_inputs(config, cache_length=1021, new_tokens=3)["attention_mask"].shape[1] == 1024
    message = "1022 tokens in the cache and 3 new ones make 1025, and the model has 1024 positions"
    with pytest.raises(ValueError, match=message):
        make_inputs(config, cache_length=1022, new_tokens=3)
    with pytest.raises(ValueError, match="1025"):
        make_inputs(config, new_tokens=1025, with_cache=False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "Tiny-LLM"
    write_checkpoint(folder, LINES)
    return folder


def test_the_checkpoint_loads_back(checkpoint):
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint)
    assert model.num_parameters() == PARAMETERS
    assert torch.equal(model.lm_head.weight, untrained_tiny_llm().model.lm_head.weight)
    assert (model.config.bos_token_id, model.config.eos_token_id) == (1, 2)


def test_the_tokenizer_reads_any_text(checkpoint):
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    assert tokenizer.convert_ids_to_tokens([0, 1, 2]) == list(SPECIAL_TOKENS)
    assert len(tokenizer) <= 32_000
    assert tokenizer.model_max_length == 1024
    for text in ("the cat sat", "Ünseen ☃ 漢字\tand tabs"):
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert len(tokenizer("the cat sat")["input_ids"]) == 4


def test_the_checkpoint_depends_on_its_arguments_only(checkpoint, tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    write_checkpoint(tmp_path, LINES)
    assert torch.equal(torch.get_rng_state(), before)
    names = sorted(file.name for file in checkpoint.iterdir())
    assert names == sorted(file.name for file in tmp_path.iterdir())
    for name in names:
        assert (tmp_path / name).read_bytes() == (checkpoint / name).read_bytes(), name


@pytest.mark.parametrize("shown", [True, False])
def test_writing_a_checkpoint_is_silent_and_keeps_the_progress_bars(tmp_path, capfd, shown):
    logging = transformers.utils.logging
    switch = logging.enable_progress_bar if shown else logging.disable_progress_bar
    try:
        switch()
        write_checkpoint(tmp_path, LINES)
        assert logging.is_progress_bar_enabled() is shown
    finally:
        logging.enable_progress_bar()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("lines", [[], ["", "  "]])
def test_a_checkpoint_needs_text(tmp_path, lines):
    with pytest.raises(ValueError, match="no line with text"):
        write_checkpoint(tmp_path / "new", lines)
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_does_not_replace_a_file(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError):
        write_checkpoint(file, LINES)
    assert file.read_text(encoding="utf-8") == "mine"


def test_padding_is_masked_and_not_counted():
    inputs = make_inputs(tiny_llm_config(), batch_size=2, cache_length=4, new_tokens=2, padding=3)
    assert inputs["attention_mask"].tolist() == [[0, 0, 0, 1, 1, 1], [1] * 6]
    assert inputs["position_ids"].tolist() == [[1, 2], [4, 5]]


@pytest.mark.parametrize("padding", [-1, 5])
def test_more_padding_than_the_cache_holds_is_refused(padding):
    with pytest.raises(ValueError, match=f"between 0 and the 4 tokens in the cache, not {padding}"):
        make_inputs(tiny_llm_config(), cache_length=4, padding=padding)
