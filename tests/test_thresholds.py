"""Tests of :mod:`smallport.export.thresholds`, and of checks at the lengths that it finds."""

import random
from types import SimpleNamespace

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from smallport.architectures.entries import UNBUILDABLE
from smallport.architectures.tiny import architectures, out_of_scope, tiny_config
from smallport.export import STAGES, check_export
from smallport.export.comparisons import (
    STEPS,
    StageFailure,
    compare_decoding,
    compare_shapes,
)
from smallport.export.coverage import MAX_TOKENS
from smallport.export.examine import examine_model
from smallport.export.thresholds import LEAST, Threshold, thresholds
from smallport.parity import cache_argument, copy_inputs, name_outputs
from tests.test_check import TinyModel, failing_at, statuses


def longrope(**fields):
    factors = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0, **factors}
    return transformers.Phi3Config(
        hidden_size=64, num_attention_heads=4, pad_token_id=0, rope_parameters=rope, **fields
    )


@pytest.mark.parametrize(
    ("configuration", "found"),
    [
        (transformers.MistralConfig(sliding_window=512), "sliding_window 512"),
        (transformers.MistralConfig(sliding_window=None), ""),
        (transformers.Qwen2Config(use_sliding_window=False, sliding_window=512), ""),
        (
            transformers.Qwen2Config(
                use_sliding_window=True, sliding_window=512, max_window_layers=32
            ),
            "",  # in no layer
        ),
        (
            transformers.Qwen2Config(
                use_sliding_window=True, sliding_window=512, max_window_layers=1
            ),
            "sliding_window 512",
        ),
        (
            transformers.Llama4TextConfig(attention_chunk_size=99),
            "attention_chunk_size 99 floor_scale 8192",
        ),
        (transformers.GPTNeoConfig(window_size=77), "window_size 77"),
        (transformers.Mamba2Config(), "chunk_size 256"),
        (transformers.BambaConfig(), "mamba_chunk_size 256"),
        (transformers.BigBirdConfig(attention_type="original_full"), ""),
        (transformers.BigBirdConfig(attention_type="block_sparse"), "block_size 64"),
        (transformers.LlamaConfig(), ""),
        (transformers.GptOssConfig(), "sliding_window 128"),  # yarn scales once for all
        (
            transformers.LlamaConfig(rope_parameters={"rope_type": "dynamic", "factor": 2.0}),
            "max_position_embeddings 2048",
        ),
        (
            longrope(original_max_position_embeddings=64, max_position_embeddings=256),
            "original_max_position_embeddings 64",
        ),
        (transformers.DbrxConfig(), ""),
        (SimpleNamespace(my_window=30, use_cache=True, chunk_size_feed_forward=8), "my_window 30"),
        (
            SimpleNamespace(
                audio_chunk_size=480_000, speech_encoder_chunk_size=9, max_window_layers=28
            ),
            "",
        ),
        (None, ""),
    ],
)
def test_the_lengths_at_which_a_model_computes_something_else(configuration, found):
    assert " ".join(map(str, thresholds(configuration))) == found


def test_every_threshold_of_the_sweep_is_crossed():
    names = (name for name in architectures(None) if not out_of_scope(name))
    configurations = (tiny_config(name) for name in names if name not in UNBUILDABLE)
    text_parts = [configuration.get_text_config(decoder=True) for configuration in configurations]
    found = [threshold for part in text_parts for threshold in thresholds(part)]
    assert len(found) > 50
    assert [one for one in found if one.length >= MAX_TOKENS] == []


@given(
    length=st.integers(2, 5000),
    longest=st.integers(16, 5000),
    cached=st.booleans(),
    least_cached=st.integers(0, 1),
)
@settings(max_examples=200)
def test_texts_are_on_both_sides_of_a_threshold(length, longest, cached, least_cached):
    threshold = Threshold("sliding_window", length)
    shapes = threshold.shapes(longest, cached=cached, least_cached=least_cached)
    lengths = [one.cache_length + one.new_tokens for one in shapes]
    assert all(LEAST <= one <= longest for one in lengths)
    assert all(one.new_tokens > 0 and one.batch_size == 1 for one in shapes)
    if LEAST <= length < longest:
        assert {length, length + 1} <= {*lengths}
    if LEAST + 3 <= length < longest:
        assert any(one.cache_length > length - 4 for one in shapes)
        assert any(one.new_tokens > length for one in shapes)


class Branches(TinyModel):
    """A model with a case of its own for long texts."""

    def __init__(self, length, **fields):
        super().__init__()
        self.length, self.config = length, SimpleNamespace(**fields)

    def forward(self, input_ids, attention_mask, position_ids, past_key_values=None):
        """Begin to count again in a long text."""
        if input_ids.shape[1] > self.length:
            position_ids = position_ids % self.length
        return super().forward(input_ids, attention_mask, position_ids, past_key_values)


def test_a_case_for_long_texts_fails():
    report = check_export(Branches(200))
    assert statuses(report) == failing_at("matches")
    assert "it rejects 1 of 8 shapes" in report["matches"].found
    assert "0 + 600 tokens" in str(report["matches"].rejected)
    assert "<= 200" in report["matches"].error
    report = check_export(Branches(200), max_tokens=150, until="matches")
    assert report.passed(), report


def test_a_case_at_a_threshold_of_the_configuration_fails_however_long_it_is():
    model = Branches(700, my_window=700)
    report = check_export(model)
    assert report.passed(), report
    assert report.coverage.not_compared["long texts"] == (
        "a window of 700 tokens (my_window), which no text of the check is longer than"
    )
    assert "not compared: long texts" in str(report)
    assert "no text is longer than my_window 700" in report["matches"].found
    report = check_export(model, require=["long texts"])
    assert statuses(report) == failing_at("ran")
    assert "a window of 700 tokens" in report["ran"].found
    report = check_export(model, thorough=True)
    assert statuses(report) == failing_at("matches")
    assert "0 + 701 tokens" in str(report["matches"].rejected)
    assert not report.coverage.not_compared


def test_a_threshold_beyond_the_last_position_is_listed():
    model = Branches(5000, my_window=2048, max_position_embeddings=1024)
    report = check_export(model, thorough=True, until="matches")
    assert report["matches"].status == "passed"
    assert "no text may be longer than" in report.coverage.not_compared["long texts"]


class DropsItsWindow(TinyModel):
    """A model with a window, which is lost where it is exported."""

    def __init__(self, window):
        super().__init__()
        self.window, self.config = window, SimpleNamespace(sliding_window=window)

    def visible(self, attention_mask, new):
        """See the last tokens only, but all of them in the export."""
        seen = super().visible(attention_mask, new)
        if torch.compiler.is_exporting():
            return seen
        places = torch.arange(attention_mask.shape[1])
        return seen & (places[attention_mask.shape[1] - new :, None] - places < self.window)[None]


@pytest.mark.parametrize("seed", range(2))
def test_a_program_without_its_window_fails_wherever_the_window_ends(seed):
    window = random.Random(seed).randrange(140, 590)
    report = check_export(DropsItsWindow(window))
    assert statuses(report) == failing_at("matches")
    assert "differs from the model" in report["matches"].found
    # Not because of the text of 600 tokens alone.
    under_test = examine_model(DropsItsWindow(window))
    wider = examine_model(DropsItsWindow(10_000))
    around = under_test.thresholds[0].shapes(600, cached=True)
    with pytest.raises(StageFailure, match="at 3 of 4 shapes"):
        compare_shapes(under_test, wider.call_with, around)


def test_chunks_of_a_state_space_model_are_crossed():
    sizes = {"hidden_size": 32, "num_heads": 4, "head_dim": 16, "state_size": 16, "n_groups": 1}
    config = transformers.Mamba2Config(**sizes, num_hidden_layers=1, vocab_size=100)
    report = check_export(transformers.Mamba2ForCausalLM(config).eval(), until="matches")
    assert statuses(report) == failing_at("matches")
    assert "1 + 257 tokens (Guard failed: 256 >= " in str(report["matches"].rejected)


@pytest.mark.parametrize("seed", range(12))
def test_a_mistake_anywhere_is_found(seed):
    """In one element of one tensor, at one shape."""
    drawn = random.Random(seed)
    model = TinyModel()
    model.config = SimpleNamespace(my_window=drawn.randrange(20, 590), bos_token_id=1)
    under_test = examine_model(model)
    shapes = under_test.test_shapes()
    wrong, name = drawn.choice(shapes), drawn.choice(["logits", "present.0.key", "present.0.value"])
    places = []

    def run(inputs):
        outputs = name_outputs(under_test.call_with(copy_inputs(inputs)))
        seen = under_test.shape_of(inputs)
        padding = int((inputs["attention_mask"] == 0).sum())
        if (seen.batch_size, seen.cache_length, seen.new_tokens, padding) == (
            wrong.batch_size,
            wrong.cache_length,
            wrong.new_tokens,
            wrong.padding,
        ):
            row = drawn.randrange(wrong.batch_size)
            changed = outputs[name].clone()
            # Behind the padding, which is not compared.
            place = (row, *(size - 1 - drawn.randrange(min(size, 2)) for size in changed.shape[1:]))
            changed[place] += 0.5
            outputs[name] = changed
            places.append(f"{name}{list(place)} is")
        return outputs

    with pytest.raises(StageFailure, match=f"at 1 of {len(shapes)} shapes") as failure:
        compare_shapes(under_test, run, shapes)
    assert failure.value.difference.where.startswith(places[0])
    assert failure.value.difference.where.endswith(f"at {wrong}")


class Answers(TinyModel):
    """A model whose export gives one token no answer."""

    def __init__(self, token, **fields):
        super().__init__()
        self.token, self.config = token, SimpleNamespace(**fields)

    def forward(self, input_ids, attention_mask, position_ids, past_key_values=None):
        """Lose the logits behind the token, in the export."""
        outputs = super().forward(input_ids, attention_mask, position_ids, past_key_values)
        if torch.compiler.is_exporting():
            lost = (input_ids == self.token)[..., None]
            outputs["logits"] = outputs["logits"].masked_fill(lost, 0)
        return outputs


def enlarge(model, vocabulary):
    """Make it unlikely that chance draws a certain token."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.tokens = nn.Embedding(vocabulary, model.tokens.embedding_dim)
        model.logits = nn.Linear(model.tokens.embedding_dim, vocabulary)
    return model.eval()


@pytest.mark.parametrize("token", [1, 3, 7_000, 7_001, 9_000, 19_999])
def test_a_mistake_at_a_special_token_is_found(token):
    fields = {"bos_token_id": 7_000, "eos_token_id": [7_001, 5], "pad_token_id": 9_000}
    report = check_export(enlarge(Answers(token, **fields), 20_000), max_tokens=64)
    assert statuses(report) == failing_at("matches")
    assert "is 0 instead of" in report["matches"].where
    assert report.coverage.compared == {}


def test_the_report_lists_special_tokens():
    fields = {"bos_token_id": 7, "eos_token_id": [8, 9], "pad_token_id": 10, "image_token_id": 2}
    fields |= {"my_window": 100}
    report = check_export(Answers(-1, **fields), until="matches")
    compared = report.coverage.compared
    assert compared["first tokens"] == [7, "others"]
    assert compared["special tokens"] == [0, 1, 3, 7, 8, 9, 10, 39]
    assert compared["thresholds"] == ["my_window 100"]
    assert {100, 101, 600} <= {*compared["lengths"]}
    assert compared["caches"] == ["plain"]
    assert "thresholds: my_window 100" in str(report.coverage)


def test_the_longest_text_can_be_chosen():
    report = check_export(TinyModel(), max_tokens=20, until="matches")
    assert max(report.coverage.compared["lengths"]) == 20
    with pytest.raises(ValueError, match="max_tokens should be 16 or more, not 15"):
        check_export(TinyModel(), max_tokens=15)


@pytest.mark.parametrize("context", [17, 50])
def test_a_context_shorter_than_the_texts_is_found_out(context):
    model = TinyModel()
    model.positions = nn.Embedding(context, model.positions.embedding_dim)
    report = check_export(model.eval())
    assert report.passed(), report
    assert max(report.coverage.compared["lengths"]) == context


WINDOW = 16


def windowed(window=WINDOW):
    configuration = tiny_config("mistral")
    configuration.sliding_window = window
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.MistralForCausalLM(configuration).eval()


def test_decoding_is_compared_with_the_cache_of_generate():
    under_test = examine_model(windowed())
    assert under_test.windows == {0: WINDOW, 1: WINDOW}
    fed = []

    def run(inputs):
        fed.append({type(layer).__name__ for layer in inputs[under_test.cache].layers})
        return under_test.call_with(inputs)

    found = compare_decoding(under_test, run)
    assert fed == [{"DynamicLayer"}] * STEPS
    assert "the model's cache was the one that generate makes" in found.found
    assert found.difference.tolerable

    with pytest.raises(StageFailure, match=r"differs from the model at 4 of 8 steps"):
        compare_decoding(under_test, examine_model(windowed(window=None)).call_with)


@pytest.mark.parametrize(("back", "found"), [(WINDOW - 1, True), (WINDOW, False)])
def test_keys_in_the_window_count_and_older_ones_do_not(back, found):
    under_test = examine_model(windowed())

    def run(inputs):
        outputs = under_test.call_with(inputs)
        named = name_outputs(outputs)
        if named["present.1.key"].shape[2] == WINDOW + 4:  # after the last step
            named["present.1.key"][1, 0, -back, 0] += 1
        return outputs

    if found:
        with pytest.raises(StageFailure, match="at 1 of 8 steps") as failure:
            compare_decoding(under_test, run)
        assert failure.value.difference.where.startswith("present.1.key[1, 0, 0, 0]")
    else:
        compare_decoding(under_test, run)


def test_a_model_whose_windowed_cache_changes_its_results_is_said_to(monkeypatch):
    model = windowed()
    forward = model.forward

    def differ(**inputs):
        cache = inputs.get(cache_argument())
        kinds = {type(layer).__name__ for layer in getattr(cache, "layers", [])}
        outputs = forward(**inputs)
        if "DynamicSlidingWindowLayer" in kinds:
            outputs["logits"] = outputs["logits"] * 1.5
        return outputs

    differ.__signature__ = __import__("inspect").signature(forward)
    monkeypatch.setattr(model, "forward", differ)
    under_test = examine_model(model)
    plain = examine_model(windowed())
    found = compare_decoding(under_test, plain.call_with)
    assert "which is the model's doing" in found.found


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda one: transformers.DynamicCache(config=one), "DynamicSlidingWindowLayer"),
        (lambda one: transformers.StaticCache(config=one, max_cache_len=9), "StaticCache"),
        (lambda _: transformers.DynamicCache(offloading=True), "is offloaded"),
        (lambda _: object.__new__(transformers.QuantizedCache), "QuantizedCache"),
        (
            lambda _: transformers.EncoderDecoderCache(
                transformers.DynamicCache(), transformers.DynamicCache()
            ),
            "EncoderDecoderCache",
        ),
    ],
)
def test_a_cache_that_is_not_made_at_other_shapes_is_named(make, named):
    model = windowed()
    ids = torch.zeros(2, 3, dtype=torch.int64)
    inputs = {"input_ids": ids, cache_argument(): make(model.config)}
    report = check_export(model, inputs, until="ran")
    assert statuses(report)[1] == "failed"
    assert named in report["ran"].error
    assert len(STAGES) == len(report.stages)
