"""Sequence-to-sequence models: both programs, both caches, and which wrong programs are found."""

import copy

import pytest
import torch
import transformers

from smallport.export import STAGES, check_export
from smallport.export.comparisons import StageFailure, compare_shapes
from smallport.export.examine import examine_model
from smallport.export.report import ExportReport
from smallport.export.seq2seq import ENCODED, Seq2SeqShape
from smallport.export.seq2seq_check import (
    DECODE,
    PREFILL,
    Seq2SeqCheck,
    compare_writing,
    own_results,
)
from smallport.parity.closeness import discrepancy
from smallport.parity.names import cache_argument, find_cache


def t5(**entries):
    """Build a tiny T5."""
    torch.manual_seed(0)
    sizes = {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 16}
    configuration = transformers.T5Config(
        **sizes, vocab_size=50, decoder_start_token_id=0, pad_token_id=0, **entries
    )
    return transformers.T5ForConditionalGeneration(configuration).eval()


def bart():
    """Build a tiny BART."""
    torch.manual_seed(0)
    names = "encoder_layers decoder_layers encoder_attention_heads decoder_attention_heads"
    sizes = dict.fromkeys(names.split(), 1) | {"d_model": 16, "max_position_embeddings": 60}
    sizes |= {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "vocab_size": 50}
    return transformers.BartForConditionalGeneration(transformers.BartConfig(**sizes)).eval()


@pytest.fixture(scope="module")
def report():
    return check_export(bart())


@pytest.fixture(scope="module")
def under_test():
    return examine_model(t5(num_decoder_layers=2))


def test_both_programs_pass_every_stage(report):
    assert report
    assert tuple(one.stage for one in report.stages) == STAGES
    for stage in ("exported", "matches", "stays dynamic", "ONNX", "ONNX Runtime matches"):
        assert report[stage].found.startswith("prefill: ")
        assert "; decode: " in report[stage].found
    assert "8 tokens of 3 texts are decoded alike" in report["decodes"].found
    assert "source length are free" in report["stays dynamic"].found
    assert report["ONNX Runtime matches"].error_ratio is not None
    assert ExportReport.from_json(report.to_json()) == report


def test_the_report_says_what_was_compared(report):
    compared = report.coverage.compared
    assert compared["task"] == ["seq2seq-lm"]
    assert compared["caches"] == ["self-attention", "cross-attention"]
    assert compared["outputs"] == ["encoder_last_hidden_state", "logits", "present"]
    assert compared["model itself"] == ["step by step", "mask", "earlier logits", "text alone"]
    assert compared["lengths"][-1] == compared["lengths written"][-1] == 60
    assert compared["decoding steps"] == [8]
    assert not report.coverage.not_compared
    assert "as seq2seq-lm within 12 tensors" in str(report)


def test_both_files_are_kept(tmp_path):
    assert check_export(t5(), until="exported", save=tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {"prefill.pt2", "decode.pt2", "report.json"}


def test_in_half_precision_errors_are_compared():
    report = check_export(t5().bfloat16(), until="decodes")
    assert report
    assert report["decodes"].error_ratio <= 1.5


def test_inputs_are_made_and_files_are_for_decoders(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    report = check_export(t5(), against=tmp_path / "model.onnx")
    assert "files are compared with decoders" in report["read"].found
    inputs = {"input_ids": torch.ones(2, 3, dtype=torch.int64)}
    assert "leave inputs out" in check_export(t5(), inputs, until="ran")["ran"].error


def test_the_search_for_a_cause_says_that_it_is_for_one_program(monkeypatch):
    def fail(_):
        one, other = ({"logits": torch.full((1, 1, 2), size)} for size in (1.0, 2.0))
        raise StageFailure("it differs", discrepancy(one, other))

    monkeypatch.setattr(Seq2SeqCheck, "matches", fail)
    report = check_export(t5(), until="matches", why=True)
    assert "only models of one program are searched" in report["matches"].text()


def test_a_model_without_a_head_is_told_so():
    model = transformers.T5Model(t5().config).eval()
    assert "should return logits" in check_export(model, until="ran")["ran"].error


def test_a_model_of_sound_is_named():
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 50}
    sizes |= dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 1)
    sizes |= dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2)
    model = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(**sizes))
    error = check_export(model.eval(), until="ran")["ran"].error
    assert "a model of images or sound (input_features)" in error


def caches(inputs):
    """Take both caches out of inputs."""
    cache = inputs[find_cache(inputs)]
    return cache.self_attention_cache, cache.cross_attention_cache


def ignoring_the_mask(inputs):
    """Read padding, too."""
    inputs["attention_mask"] = torch.ones_like(inputs["attention_mask"])


def first_text_for_all(inputs):
    """Give all texts the cross-attention cache of the first one."""
    for layer in caches(inputs)[1].layers:
        layer.keys = layer.keys[:1].expand_as(layer.keys)
        layer.values = layer.values[:1].expand_as(layer.values)


def swapped_layers(inputs):
    """Give each layer the cross-attention cache of another."""
    caches(inputs)[1].layers.reverse()


def swapped_caches(inputs):
    """Give cross-attention what is for self-attention; their sizes fit at some shapes only."""
    own, cross = caches(inputs)
    for one, other in zip(own.layers, cross.layers, strict=True):
        one.keys, other.keys = other.keys, one.keys
        one.values, other.values = other.values, one.values


def broken(under_test, change):
    """Make a wrong program of a model."""
    model = copy.deepcopy(under_test.model)

    def run(inputs):
        change(inputs)
        with torch.no_grad():
            return model(**inputs, use_cache=True)

    return run


SAME = Seq2SeqShape(3, 9, 1, padding=2, source_length=9, padding_after=3)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        (PREFILL, ignoring_the_mask),
        (DECODE, ignoring_the_mask),
        (DECODE, first_text_for_all),
        (DECODE, swapped_layers),
        (DECODE, swapped_caches),
    ],
)
def test_a_wrong_program_is_found_at_shapes_and_in_decoding(under_test, part, change):
    call = getattr(under_test, part)
    shapes = [SAME] if change is swapped_caches else call.test_shapes()
    with pytest.raises(StageFailure, match=r"it differs from the model at \d+ of"):
        compare_shapes(call, broken(call, change), shapes)
    right = broken(under_test, lambda _: None)
    programs = {PREFILL: right, DECODE: right} | {part: broken(under_test, change)}
    with pytest.raises(StageFailure, match=r"at \d of 8 steps of decoding|rejects a step"):
        compare_writing(under_test, programs)


def test_a_model_that_lets_texts_see_what_follows_is_described():
    def look_ahead(_, __, outputs):
        outputs.logits = outputs.logits + outputs.logits.mean(1, keepdim=True)
        return outputs

    model = t5()
    model.register_forward_hook(look_ahead)
    said, held = own_results(examine_model(model))
    assert any("changes the logits before it" in one for one in said)
    assert any("with its caches its logits change" in one for one in said)
    assert held == ["mask", "text alone"]


def test_a_model_that_ignores_its_mask_is_described():
    class Unmasked(transformers.T5ForConditionalGeneration):
        def forward(
            self,
            input_ids=None,
            attention_mask=None,
            decoder_input_ids=None,
            encoder_outputs=None,
            *,
            cache=None,
            use_cache=None,
        ):
            names = {"decoder_input_ids": decoder_input_ids, ENCODED: encoder_outputs}
            names |= {cache_argument(): cache, "use_cache": use_cache}
            return super().forward(input_ids, torch.ones_like(attention_mask), **names)

    said, held = own_results(examine_model(Unmasked(t5().config).eval()))
    assert "it ignores its mask" in said
    assert any("alone than in a batch" in one for one in said)
    assert held == ["step by step", "earlier logits"]
