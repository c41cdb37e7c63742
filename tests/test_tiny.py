"""Tests of :mod:`smallport.architectures.tiny` and of the tables that it applies."""

import functools
import inspect

import pytest
import torch
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from smallport.architectures import tiny
from smallport.architectures.entries import ENTRIES, UNBUILDABLE
from smallport.architectures.rules import (
    AT_MOST,
    IMPLIED,
    LAYER_LISTS,
    LAYERS,
    SETTINGS,
    TASK_SETTINGS,
    VOCABULARY,
)
from smallport.architectures.tasks import split_name
from smallport.architectures.tiny import (
    MOST_PARAMETERS,
    REGISTERED,
    Unbuildable,
    architectures,
    out_of_scope,
    stale_entries,
    tiny_config,
    tiny_model,
)
from smallport.export.examine import task_of
from smallport.parity import copy_inputs

BUILDABLE = [name for name in architectures() if name not in UNBUILDABLE]
OTHERS = [
    name
    for name in architectures(None)
    if split_name(name)[1] != "causal-lm" and not out_of_scope(name) and name not in UNBUILDABLE
]
"""Encoders and sequence-to-sequence models of which there is a tiny one."""

LEAKING = {"convbert", "fnet", "nystromformer", "yoso"}
"""Encoders that look at padding: by convolutions, without a mask, or in means over the text."""


@functools.cache
def configuration(model_type):
    return tiny_config(model_type)


def parts(model_type):
    """List the configuration of an architecture and those nested in it."""
    found = [configuration(model_type)]
    for part in found:
        nested = (getattr(part, name, None) for name in part.sub_configs)
        found.extend(one for one in nested if one is not None)
    return found


def test_the_architectures_are_those_that_transformers_registers():
    names = architectures()
    assert list(names) == sorted(set(names))
    assert {"llama", "gpt2", "mamba", "qwen3_5_moe", "bert"} <= set(names)
    assert "vit" not in names
    assert len(BUILDABLE) >= 0.95 * len(names)


@pytest.mark.parametrize("model_type", [*BUILDABLE, *OTHERS])
def test_each_configuration_is_tiny_and_consistent(model_type):
    text = configuration(model_type).get_text_config(decoder=True)
    assert text.vocab_size <= VOCABULARY
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        token = getattr(text, name, None)
        assert token is None or 0 <= token < text.vocab_size
    for part in parts(model_type):
        layers = getattr(part, "num_hidden_layers", None)
        for name in LAYER_LISTS:
            kinds = getattr(part, name, None)
            if name in type(part).__dataclass_fields__ and kinds and layers is not None:
                assert len(kinds) == layers, name
                assert layers >= LAYERS


@pytest.mark.parametrize(
    "model_type",
    [
        "bert",
        "deepseek_v3",
        "gemma3_text",
        "gpt2",
        "jamba",
        "llama",
        "mamba2",
        "mixtral",
        "musicgen",
        "qwen3_5",
    ],
)
def test_a_model_runs_and_continues_from_its_cache(model_type):
    model = tiny_model(model_type)
    assert model.num_parameters() <= MOST_PARAMETERS
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    ids = torch.arange(3, 19).reshape(2, 8)
    arguments = inspect.signature(model.forward).parameters
    cache_name = next(
        name for name in ("cache", "past_key_values", "cache_params") if name in arguments
    )
    with torch.no_grad():
        whole = model(input_ids=ids).logits
        beginning = model(input_ids=ids[:, :7], use_cache=True)
        cache = {cache_name: beginning[cache_name]}
        rest = model(input_ids=ids[:, 7:], use_cache=True, **copy_inputs(cache)).logits
    assert whole.shape == (2, 8, VOCABULARY)
    assert whole.isfinite().all()
    assert whole.std() > 0.1
    torch.testing.assert_close(beginning.logits, whole[:, :7], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rest, whole[:, 7:], rtol=1e-4, atol=1e-5)


def test_all_names_have_their_task_and_one_place():
    names = architectures(None)
    assert len(set(names)) == len(names) == sum(map(len, REGISTERED.values()))
    assert {"bert", "bert:masked-lm", "t5:seq2seq-lm"} <= set(names)
    assert architectures("masked-lm")[0] == "albert:masked-lm"
    assert {split_name(name)[1] for name in architectures("seq2seq-lm")} == {"seq2seq-lm"}


def test_what_is_out_of_scope_says_why_and_counts_in_its_task():
    names = [name for name in architectures(None) if out_of_scope(name)]
    assert {"bart:masked-lm", "voxtral:seq2seq-lm"} <= set(names)
    assert not out_of_scope("bart:seq2seq-lm")
    assert not out_of_scope("moss_transcribe_diarize")  # its decoder is a language model
    for name in names:
        with pytest.raises(Unbuildable, match=r"is checked as such|input is sound"):
            tiny_model(name)
    for task in ("masked-lm", "seq2seq-lm"):
        everything = set(architectures(task)) - set(names)
        assert len(everything & set(OTHERS)) >= 0.95 * len(everything)
    assert len(OTHERS) >= 0.8 * (len(names) + len(OTHERS) + 1)


def inputs_of(name, model):
    """Make a text of 8 tokens and one of 5, padded; for a decoder, a beginning of 3 tokens."""
    ids = torch.arange(3, 19).reshape(2, 8)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    first = next(iter(inspect.signature(model.forward).parameters))  # Perceiver reads bytes
    inputs = {first: ids, "attention_mask": mask}
    if name.endswith("seq2seq-lm"):
        inputs["decoder_input_ids"] = torch.arange(20, 26).reshape(2, 3)
    return inputs


@pytest.mark.parametrize("name", OTHERS)
def test_an_encoder_reads_its_whole_text(name):
    """Each logit depends on tokens elsewhere, and on none that are padding."""
    model = tiny_model(name)
    inputs = inputs_of(name, model)
    text = next(iter(inputs))

    def logits(row, column):
        changed = inputs[text].clone()
        changed[row, column] += 20
        with torch.no_grad():
            return model(**{**inputs, text: changed}).logits

    with torch.no_grad():
        before = model(**inputs).logits
    assert model.num_parameters() < 700_000
    assert before.isfinite().all()
    assert before.std() > 0.1
    places = 3 if name.endswith("seq2seq-lm") else 5
    after = logits(0, 6)
    assert (after - before)[0, :places].abs().max() > 1e-2
    padded = (logits(1, 6) - before)[1, :places].abs().max()
    if split_name(name)[0] not in LEAKING:
        assert padded < 1e-4
    if name == "fnet:masked-lm":
        assert padded > 1e-2  # the test sees it


@pytest.mark.parametrize("name", ["encoder-decoder:seq2seq-lm", "t5:seq2seq-lm", "led:seq2seq-lm"])
def test_a_decoder_continues_from_both_caches(name):
    model = tiny_model(name)
    inputs = inputs_of(name, model)
    beginning = inputs.pop("decoder_input_ids")
    with torch.no_grad():
        whole = model(decoder_input_ids=beginning, **inputs).logits
        outputs = model(decoder_input_ids=beginning[:, :2], use_cache=True, **inputs)
        name = next(name for name in ("cache", "past_key_values") if name in outputs)
        cache = {name: outputs[name]}
        rest = model(decoder_input_ids=beginning[:, 2:], **cache, **inputs).logits
    torch.testing.assert_close(rest, whole[:, 2:], rtol=1e-4, atol=1e-5)


def test_the_same_type_is_built_for_each_of_its_tasks():
    names = [type(tiny_model(one)).__name__ for one in ("bert", "bert:masked-lm")]
    assert names == ["BertLMHeadModel", "BertForMaskedLM"]
    assert not configuration("bert:masked-lm").is_decoder
    assert configuration("xlm").causal
    assert not configuration("xlm:masked-lm").causal


@pytest.mark.parametrize("name", ["bert", "xlm", *OTHERS])
def test_the_check_takes_a_model_for_what_its_name_says(name):
    assert task_of(tiny_model(name)) == split_name(name)[1]


def test_the_features_of_an_architecture_are_on():
    llama, gemma, mixtral = map(configuration, ("llama", "gemma3_text", "mixtral"))
    assert llama.num_attention_heads > llama.num_key_value_heads > 1
    assert gemma.layer_types == ["sliding_attention", "full_attention"]
    assert 0 < gemma.sliding_window < gemma.max_position_embeddings
    assert 1 < mixtral.num_experts_per_tok < mixtral.num_local_experts
    assert configuration("deepseek_v3").first_k_dense_replace == 1
    assert configuration("bert").is_decoder
    assert configuration("mpt").use_cache


def test_what_is_off_by_default_stays_off():
    assert configuration("mixtral").to_dict().get("sliding_window") is None


@pytest.mark.parametrize("model_type", ["afmoe", "bart", "gpt2", "mamba2"])
def test_no_row_of_a_weight_is_constant(model_type):
    """A router of zeros would choose by chance, and a bias of zeros could be left out."""
    weights = tiny_model(model_type).state_dict()
    constant = [
        name
        for name, weight in weights.items()
        if weight.is_floating_point() and weight.shape[-1:].numel() > 1
        if bool((weight.amax(dim=-1) == weight.amin(dim=-1)).any())
    ]
    assert constant == []


def test_the_attention_of_a_tiny_model_is_not_uniform():
    """Otherwise a wrong mask or position would change next to nothing."""
    model = tiny_model("llama")
    ids = torch.arange(3, 19).reshape(1, 16)
    positions = torch.arange(16)[None]
    with torch.no_grad():
        right = model(input_ids=ids, position_ids=positions).logits
        wrong = model(input_ids=ids, position_ids=positions * 2).logits
    assert (right - wrong).abs().max() > 1e-2


def test_the_model_is_seeded_and_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second, other = tiny_model("gpt2"), tiny_model("gpt2"), tiny_model("gpt2", seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    weights = [model.transformer.wte.weight for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert weights[0].data_ptr() != weights[1].data_ptr()
    assert not torch.equal(weights[0], weights[2])


def test_an_unknown_architecture_is_refused():
    with pytest.raises(
        ValueError, match=r"registers no 'lama' for .*architectures\('causal-lm'\) lists"
    ):
        tiny_model("lama")


@pytest.mark.parametrize("model_type", UNBUILDABLE)
def test_what_cannot_be_built_says_why(model_type):
    with pytest.raises(Unbuildable) as failure:
        tiny_model(model_type)
    assert str(failure.value) == UNBUILDABLE[model_type]
    assert len(UNBUILDABLE[model_type].split()) > 5


def test_a_model_that_stays_large_is_refused(monkeypatch):
    monkeypatch.setattr(tiny, "ENTRIES", {"llama": {"vocab_size": 50_000}})
    with pytest.raises(Unbuildable, match=r"leave llama with 6,.* more than 5,000,000; name"):
        tiny_model("llama")


def test_no_entry_is_stale(monkeypatch):
    assert stale_entries() == ()
    monkeypatch.setattr(tiny, "ENTRIES", {"llama": {}, "lama": {}})
    monkeypatch.setattr(tiny, "UNBUILDABLE", {"alpaca": "it is an animal"})
    assert stale_entries() == ("alpaca", "lama")


def without(entry, path):
    """Copy an entry without the field at a path of names."""
    name, *rest = path
    if rest:
        return {**entry, name: without(entry[name], rest)}
    return {key: value for key, value in entry.items() if key != name}


def fields(model_type):
    """List the paths of all fields of an entry, nested configurations included."""
    nested = CONFIG_MAPPING[split_name(model_type)[0]].sub_configs
    for name, value in ENTRIES[model_type].items():
        yield from ((name, inner) for inner in value) if name in nested else ((name,),)


@pytest.mark.parametrize(
    ("model_type", "path"),
    [
        pytest.param(name, path, id=".".join((name, *path)))
        for name in ENTRIES
        for path in fields(name)
    ],
)
def test_each_field_of_an_entry_makes_a_difference(model_type, path, monkeypatch):
    """A misspelt one would not: transformers keeps names that it does not know."""
    name = next(one for one in (*BUILDABLE, *OTHERS) if model_type in (one, split_name(one)[0]))
    whole = configuration(name).to_dict()
    entry = without(ENTRIES[model_type], path)
    monkeypatch.setattr(tiny, "ENTRIES", {**ENTRIES, model_type: entry})
    assert tiny_config_or_error(name) != whole


def tiny_config_or_error(model_type):
    try:
        return tiny_config(model_type).to_dict()
    except Exception as error:  # noqa: BLE001 - without the field the configuration is refused
        return str(error)


def test_each_general_rule_applies_to_some_architecture():
    known = {
        name
        for one in (*BUILDABLE, *OTHERS)
        for part in [CONFIG_MAPPING[split_name(one)[0]](), *parts(one)]
        for name in type(part).__dataclass_fields__
    }
    settings = {name for one in (SETTINGS, *TASK_SETTINGS.values()) for name in one}
    assert AT_MOST.keys() | settings | IMPLIED.keys() | set(LAYER_LISTS) <= known
