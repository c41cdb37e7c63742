"""Tests of :mod:`smallport.export.check` and of the stages that it goes through."""

import functools
import gc
import sys
import weakref

import pytest
import torch
import transformers
from torch import nn
from torch.export import ExportedProgram
from transformers import Cache, DynamicCache
from transformers.cache_utils import LinearAttentionLayer

from smallport.architectures.tiny import tiny_model
from smallport.export import STAGES, check_export, stages
from smallport.export import exporters as programs
from smallport.export.examine import examine_model
from smallport.export.under_test import TEST_SHAPES
from smallport.parity import Discrepancy, InputShape, cache_argument

SIZE = 8
VOCABULARY = 40


class TinyModel(nn.Module):
    """A language model of one attention layer, which is called as those of transformers are."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.tokens = nn.Embedding(VOCABULARY, SIZE)
            self.positions = nn.Embedding(1024, SIZE)
            self.projections = nn.Linear(SIZE, 3 * SIZE)
            self.logits = nn.Linear(SIZE, VOCABULARY)
        self.eval()

    def forward(self, input_ids, attention_mask, position_ids, past_key_values=None):
        """Score each token's successor, and append the tokens to the cache."""
        cache = DynamicCache() if past_key_values is None else past_key_values
        hidden = self.tokens(input_ids) + self.positions(position_ids)
        query, key, value = self.projections(hidden)[:, None].chunk(3, dim=-1)
        keys, values = cache.update(key, value, 0)
        scores = query @ keys.transpose(-1, -2)
        visible = self.visible(attention_mask, input_ids.shape[1])
        attended = scores.masked_fill(~visible[:, None], -1e9).softmax(dim=-1) @ values
        return {"logits": self.logits(hidden + attended[:, 0]), "past_key_values": cache}

    def visible(self, attention_mask, new):
        """Let each token see itself and what is before it, padding aside."""
        places = torch.arange(attention_mask.shape[1])
        causal = places[None, :] <= places[attention_mask.shape[1] - new :, None]
        return causal[None] & (attention_mask[:, None] == 1)


class MaskIgnored(TinyModel):
    """A model that does without its mask where it is exported, and only there."""

    def visible(self, attention_mask, new):
        """Take padding for text, in the export."""
        if torch.compiler.is_exporting():
            attention_mask = torch.ones_like(attention_mask)
        return super().visible(attention_mask, new)


class PositionsShifted(TinyModel):
    """A model that counts from one where it is exported, and only there."""

    def forward(self, input_ids, attention_mask, position_ids, past_key_values=None):
        """Shift the positions, in the export."""
        if torch.compiler.is_exporting():
            position_ids = position_ids + 1
        return super().forward(input_ids, attention_mask, position_ids, past_key_values)


class ForbidsAToken(TinyModel):
    """A model that never writes token 3, and mixes up all others where it is exported."""

    def __init__(self, forbidden, *, mixed_up=True):
        super().__init__()
        self.forbidden, self.mixed_up = forbidden, mixed_up

    def forward(self, input_ids, attention_mask, position_ids, past_key_values=None):
        """Shift the vocabulary by one, in the export, then forbid a token."""
        outputs = super().forward(input_ids, attention_mask, position_ids, past_key_values)
        logits = outputs["logits"]
        if self.mixed_up and torch.compiler.is_exporting():
            logits = logits.roll(1, dims=-1)
        allowed = torch.arange(VOCABULARY) != 3
        return outputs | {"logits": torch.where(allowed, logits, torch.tensor(self.forbidden))}


class NotContiguous(TinyModel):
    """A model whose logits are not contiguous in memory."""

    def forward(self, input_ids, attention_mask, position_ids, past_key_values=None):
        """Lay out the logits with the texts side by side."""
        outputs = super().forward(input_ids, attention_mask, position_ids, past_key_values)
        logits = outputs["logits"].transpose(0, 1).contiguous().transpose(0, 1)
        return outputs | {"logits": logits}


class BatchBurntIn(TinyModel):
    """A model with a case of its own for two texts."""

    def forward(self, input_ids, attention_mask, position_ids, past_key_values=None):
        """Treat two texts apart."""
        if input_ids.shape[0] == 2:
            input_ids = input_ids + 0
        return super().forward(input_ids, attention_mask, position_ids, past_key_values)


class NotANumber(TinyModel):
    """A model that overflows."""

    def forward(self, input_ids, attention_mask, position_ids):
        """Divide by zero."""
        outputs = super().forward(input_ids, attention_mask, position_ids)
        return outputs | {"logits": outputs["logits"] / 0.0}


class BeginsAnew(TinyModel):
    """A model that returns a cache and fails when it is given one that is filled."""

    def forward(self, input_ids, attention_mask, position_ids, past_key_values=None):
        """Go on from nothing."""
        if past_key_values is not None and past_key_values.get_seq_length():
            raise RuntimeError("the cache is full")
        return super().forward(input_ids, attention_mask, position_ids, past_key_values)


class Forgetful(nn.Module):
    """A model that returns no cache, and so has to read the whole text each time."""

    def __init__(self):
        super().__init__()
        self.model = TinyModel()
        self.eval()

    def forward(self, input_ids, attention_mask):
        """Score each token's successor."""
        positions = (attention_mask.cumsum(1) - 1).clamp(min=0)
        return {"logits": self.model(input_ids, attention_mask, positions)["logits"]}


def statuses(report):
    return [stage.status for stage in report.stages]


def failing_at(stage):
    place = STAGES.index(stage)
    return ["passed"] * place + ["failed"] + ["not reached"] * (len(STAGES) - place - 1)


def test_a_model_of_ones_own_passes_every_stage():
    report = check_export(TinyModel(), name="mine", command="pytest tests/test_mine.py")
    assert statuses(report) == ["passed"] * len(STAGES), report
    assert report.passed()
    assert (report.name, report.command) == ("mine", "pytest tests/test_mine.py")
    assert "3 tensors agree in every element at 8 shapes" in report["matches"].found
    assert "it uses its mask" in report["ran"].found
    assert 0 < report["ONNX Runtime matches"].largest_difference < 1e-6
    assert "instead of" in report["ONNX Runtime matches"].where
    assert report.versions["torch"] == torch.__version__.partition("+")[0]


def test_a_model_without_cache_is_compared_in_full_and_named():
    report = check_export(Forgetful())
    assert report.passed(), report
    assert "it keeps nothing between calls; it is exported without" in report["ran"].found
    assert "1 tensor agrees in every element at 8 shapes" in report["matches"].found


def test_a_model_that_does_not_go_on_from_its_cache_fails_unless_that_is_asked_for():
    report = check_export(BeginsAnew(), until="matches")
    assert statuses(report) == failing_at("ran")
    assert "does not go on from it (RuntimeError: the cache is full)" in report["ran"].found
    report = check_export(BeginsAnew(), until="matches", require=())
    assert report["matches"].status == "passed"
    assert "the cache is full" in report.coverage.not_compared["cache"]


class CacheRenamed(nn.Module):
    """A model that calls its cache as transformers 5.24 does."""

    def __init__(self):
        super().__init__()
        self.model = TinyModel()
        self.eval()

    def forward(self, input_ids, attention_mask, position_ids, cache=None):
        """Rename argument and output."""
        outputs = self.model(input_ids, attention_mask, position_ids, cache)
        return {"logits": outputs["logits"], "cache": outputs["past_key_values"]}


class CacheAnnotated(CacheRenamed):
    """A model that is known to take a cache by the annotation only."""

    def forward(self, input_ids, attention_mask, position_ids, memory: Cache | None = None):
        """Rename argument and output."""
        outputs = self.model(input_ids, attention_mask, position_ids, memory)
        return {"logits": outputs["logits"], "what_was_read": outputs["past_key_values"]}


@pytest.mark.parametrize("model", [CacheRenamed, CacheAnnotated])
def test_a_cache_is_found_by_its_type_and_keeps_its_names(model):
    report = check_export(model(), until="decodes")
    assert report.passed(), report
    assert "3 tensors agree in every element at 8 shapes" in report["matches"].found
    assert report.coverage.compared["outputs"] == ["logits", "present"]
    assert report.coverage.compared["decoding steps"] == [8]
    assert not report.coverage.not_compared


class CacheUnnamed(CacheRenamed):
    """A wrapper whose forward method names no cache, although it returns one."""

    def forward(self, input_ids, attention_mask, position_ids):
        """Leave the cache out."""
        return self.model(input_ids, attention_mask, position_ids)


def test_a_cache_that_a_wrapper_hides_fails_unless_that_is_asked_for():
    report = check_export(CacheUnnamed())
    assert statuses(report) == failing_at("ran")
    assert "forward of CacheUnnamed names no argument for it" in report["ran"].found
    report = check_export(CacheUnnamed(), until="matches", require=())
    assert report["matches"].status == "passed"
    assert "keys and values" in report.coverage.not_compared["cache"]
    report = check_export(Forgetful(), until="ran", require=["cache"])
    assert report["ran"].status == "passed"  # it has none


@pytest.mark.parametrize(
    ("architecture", "kept", "step"),
    [
        ("lfm3", "DynamicLayer, DynamicSlidingWindowLayer, LinearAttentionLayer", ""),
        ("falcon_mamba", "LinearAttentionLayer", ", token by token"),
        ("megatron-bert", "EncoderDecoderCache", ""),
    ],
)
def test_states_beside_keys_and_values_are_compared(architecture, kept, step):
    report = check_export(tiny_model(architecture), until="decodes")
    assert report.passed(), report
    assert f"it keeps a cache of {kept}; with its cache it computes" in report["ran"].found
    assert f"what it computes without{step};" in report["ran"].found
    assert report.coverage.compared["outputs"] == ["logits", "present"]
    assert not report.coverage.not_compared


def test_a_state_that_a_program_does_not_carry_on_differs(monkeypatch):
    class Forgets(nn.Module):
        def __init__(self, program):
            super().__init__()
            self.program = program

        def forward(self, **inputs):
            """Forget what the text began with."""
            for layer in inputs[cache_argument()].layers:
                if isinstance(layer, LinearAttentionLayer):
                    layer.conv_states[0].zero_()
            return self.program(**inputs)

    module = ExportedProgram.module
    monkeypatch.setattr(ExportedProgram, "module", lambda self: Forgets(module(self)))
    report = check_export(tiny_model("lfm2"), until="matches")
    assert statuses(report) == failing_at("matches")
    assert "differs from the model at 8 of 8 shapes" in report["matches"].found


@pytest.mark.parametrize("model_type", ["", "llama"])
def test_only_the_reference_keeps_weights_when_onnx_runtime_takes_memory(model_type, monkeypatch):
    living = []

    def build():
        model = tiny_model(model_type) if model_type else TinyModel()
        living.append(weakref.ref(model))
        return model

    def export_program(model, *given):
        program = export(model, *given)
        living.append(weakref.ref(program))
        return program

    def open_session(file):
        assert [one() for one in living] == [None, None]
        known = {id(one) for one in others}
        known |= {id(one) for model in references for one in model.parameters()}
        kept = [one for one in parameters() if id(one) not in known]
        if model_type:  # those of the test's own model might be used again
            assert not any(one.untyped_storage().nbytes() for one in kept)
        return opening(file)

    def parameters():
        return [one for one in gc.get_objects() if type(one) is nn.Parameter]

    def take(*given, **options):
        under_test = examine(*given, **options)
        references.append(under_test.model)
        return under_test

    def in_double(under_test):
        references.append(doubling(under_test))
        return references[-1]

    references, examine, others = [], stages.examine_model, parameters()
    doubling = stages.in_double_precision
    monkeypatch.setattr(stages, "examine_model", take)
    monkeypatch.setattr(stages, "in_double_precision", in_double)

    export, opening = programs.export_program, programs.open_session
    monkeypatch.setattr(programs, "export_program", export_program)
    monkeypatch.setattr(programs, "open_session", open_session)
    report = check_export(build)
    assert report.passed(), report
    assert len(living) == 2


def test_the_shapes_are_what_they_are_said_to_be():
    under_test = examine_model(TinyModel())
    shapes = [under_test.clamp(shape) for shape in TEST_SHAPES]
    assert len(set(shapes)) >= 6
    assert any(shape.batch_size == 1 for shape in shapes)
    assert any(shape.cache_length == 0 for shape in shapes)
    assert any(shape.new_tokens == 1 for shape in shapes)
    assert any(shape.cache_length > 100 for shape in shapes)
    assert any(shape.padding for shape in shapes)
    for shape in shapes:
        inputs = under_test.make_inputs(shape)
        assert inputs["input_ids"].shape == (shape.batch_size, shape.new_tokens)
        assert inputs["past_key_values"].layers[0].keys.shape[2] == shape.cache_length
        assert int((inputs["attention_mask"] == 0).sum()) == shape.padding


@pytest.mark.parametrize("model", [MaskIgnored, PositionsShifted])
def test_a_program_that_computes_something_else_is_found(model):
    report = check_export(model())
    assert statuses(report) == failing_at("matches")
    assert "differs from the model" in report["matches"].found
    assert report["matches"].largest_difference > 1e-2
    assert report["matches"].where
    assert report["decodes"].found == "the stage before it failed: matches"


def test_a_mask_that_is_ignored_shows_only_where_something_is_padded():
    report = check_export(MaskIgnored())
    assert "at 1 of 8 shapes" in report["matches"].found
    assert "batch 3, 12 + 2 tokens, 5 padded" in report["matches"].where


@pytest.mark.parametrize("forbidden", [0.0, -1e4, -65504.0, -1e9, torch.finfo().min])
def test_a_forbidden_token_hides_no_shifted_vocabulary(forbidden):
    report = check_export(ForbidsAToken(forbidden))
    assert statuses(report) == failing_at("matches")
    assert "logits[" in report["matches"].where


@pytest.mark.parametrize("model", [ForbidsAToken(-1e9, mixed_up=False), NotContiguous()])
def test_a_model_that_forbids_a_token_or_is_not_contiguous_passes(model):
    report = check_export(model)
    assert report.passed(), report


def test_a_size_that_is_burnt_in_is_named_and_has_a_recipe():
    report = check_export(BatchBurntIn())
    assert statuses(report) == failing_at("exported")
    assert "specialized it to be a constant (2)" in report["exported"].error
    assert report["exported"].recipe == "dimension-specialized"


def test_results_that_are_no_numbers_are_no_reference():
    report = check_export(NotANumber())
    assert statuses(report) == failing_at("ran")
    assert "the model itself returns NaN or infinity in logits" in report["ran"].found


def test_a_model_that_cannot_be_built_is_a_verdict():
    def build():
        raise OSError("no such weights")

    report = check_export(build)
    assert statuses(report) == failing_at("built")
    assert report["built"].error == "OSError: no such weights"


def test_a_model_in_double_precision_or_in_training_is_refused():
    assert "torch.float64" in check_export(TinyModel().double())["built"].found
    assert "model.eval()" in check_export(TinyModel().train())["built"].found


def test_inputs_say_how_the_model_is_called():
    under_test = examine_model(TinyModel())
    shape = InputShape(batch_size=3, cache_length=0, new_tokens=12)
    inputs = under_test.make_inputs(shape)
    del inputs["past_key_values"]
    report = check_export(TinyModel(), inputs, until="exported")
    assert "your inputs hold none" in report.coverage.not_compared["cache"]
    assert report["exported"].status == "passed"
    assert check_export(TinyModel(), inputs, require=["cache"])["ran"].status == "failed"


def test_inputs_that_cannot_be_made_at_other_shapes_are_refused():
    report = check_export(TinyModel(), {"input_ids": torch.zeros(2, 3), "pixels": torch.zeros(1)})
    assert "the inputs hold pixels" in report["ran"].error


@pytest.mark.parametrize("until", STAGES[:3])
def test_what_was_not_asked_for_is_not_reached(until):
    report = check_export(TinyModel(), until=until)
    last = STAGES.index(until)
    assert statuses(report) == ["passed"] * (last + 1) + ["not reached"] * (7 - last)
    assert "only stages up to this one were asked for" in report.stages[last + 1].found
    assert report
    assert str(report).endswith(f"TinyModel passes until {until}; nothing was compared")


def test_progress_may_print(capsys):
    report = check_export(TinyModel(), until="ran", progress=print)
    assert capsys.readouterr().out == f"{report['built']}\n{report['ran']}\n"


def returning(make):
    """Make a model that returns something of its logits."""

    class Returning(TinyModel):
        def forward(self, input_ids, attention_mask, position_ids, past_key_values=None):
            inputs = input_ids, attention_mask, position_ids, past_key_values
            return make(super().forward(*inputs)["logits"])

    return Returning()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda logits: logits, "returned a Tensor of shape (2, 5, 40)"),
        (lambda logits: (logits, logits), "returned a tuple of 0, 1"),
        (lambda logits: {"logits": logits[:, 0]}, "and those of Returning are (2, 40)"),
    ],
)
def test_a_model_that_returns_no_logits_of_tokens_is_told_so_in_a_line(make, said):
    report = check_export(returning(make), until="ran")
    assert statuses(report) == failing_at("ran")
    assert said in report["ran"].error
    assert len(report["ran"].error) < 250


def test_a_cache_of_another_kind_is_named():
    model = tiny_model("llama")
    ids = torch.zeros(2, 3, dtype=torch.int64)
    for cache in (transformers.StaticCache(config=model.config, max_cache_len=9), ((1,), (2,))):
        report = check_export(model, {"input_ids": ids, cache_argument(): cache}, until="ran")
        assert f"DynamicCache, with which checks are made, and is a {type(cache).__name__}" in (
            report["ran"].error
        )


def test_a_size_of_one_in_the_inputs_is_rejected_before_anything_runs():
    ids = torch.zeros(1, 8, dtype=torch.long)
    for inputs in ({"input_ids": ids}, {"input_ids": ids.T, "attention_mask": ids}):
        with pytest.raises(ValueError, match=r"should not be 1.*: input_ids is \((1, 8|8, 1)\)"):
            check_export(TinyModel(), inputs)


def test_bad_calls():
    with pytest.raises(ValueError, match="not \\['cahce'\\]"):
        check_export(TinyModel(), require=["cahce"])
    with pytest.raises(TypeError, match="inputs are keyword arguments"):
        check_export(TinyModel(), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="no stage 'optimized'"):
        check_export(TinyModel(), until="optimized")
    with pytest.raises(TypeError, match=r"should be a torch\.nn\.Module .* not a str"):
        check_export("llama")


STAGE_METHODS = [stage.lower().replace(" ", "_") for stage in STAGES]


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_runs_after_one_that_failed(monkeypatch, stage):
    ran = []

    def pretend(method, _):
        ran.append(method)
        if method == STAGE_METHODS[STAGES.index(stage)]:
            raise RuntimeError("broken")
        return stages.Finding("found")

    for method in STAGE_METHODS:
        replacement = functools.partialmethod(functools.partial(pretend, method))
        monkeypatch.setattr(stages.ExportCheck, method, replacement)
    report = check_export(TinyModel())
    assert statuses(report) == failing_at(stage)
    assert ran == STAGE_METHODS[: STAGES.index(stage) + 1]
    assert report[stage].error == "RuntimeError: broken"


# Faults: what the check stands on is broken, and the check has to notice.


def test_a_comparison_that_always_says_zero_is_noticed(monkeypatch):
    names = ("logits", "present.0.key", "present.0.value")
    equal = Discrepancy(*(dict.fromkeys(names, nothing) for nothing in (0.0, 0.0, "")))
    monkeypatch.setattr(sys.modules["smallport.parity.compare"], "discrepancy", lambda *_: equal)
    report = check_export(TinyModel())
    assert statuses(report) == failing_at("ran")
    assert "does not find an error" in report["ran"].error


def test_a_tolerance_that_was_widened_is_noticed(monkeypatch):
    monkeypatch.setattr(Discrepancy, "within", lambda self, _: self.relative <= 1e-2)
    report = check_export(TinyModel())
    assert statuses(report) == failing_at("ran")
    assert "the comparison tolerates an error" in report["ran"].error


def test_the_file_of_another_model_is_noticed(monkeypatch):
    translate = programs.export_onnx
    monkeypatch.setattr(
        programs,
        "export_onnx",
        lambda _model, _program, under_test, example: translate(
            TinyModel(seed=1),
            programs.export_program(TinyModel(seed=1), under_test, example),
            under_test,
            example,
        ),
    )
    report = check_export(TinyModel())
    assert statuses(report) == failing_at("ONNX Runtime matches")
    assert report["ONNX Runtime matches"].largest_difference > 1e-2


def test_a_program_that_shares_the_weights_of_a_changed_model_is_noticed(monkeypatch):
    """A reference that shared its weights with the program would change with it."""
    model = TinyModel()
    export = programs.export_program

    def change_afterwards(*arguments):
        program = export(*arguments)
        with torch.no_grad():
            model.logits.bias += 1
        return program

    monkeypatch.setattr(programs, "export_program", change_afterwards)
    assert statuses(check_export(model)) == failing_at("matches")


def test_a_stage_that_is_skipped_is_no_pass(monkeypatch):
    monkeypatch.setattr(stages.ExportCheck, "matches", lambda _: None)
    report = check_export(TinyModel())
    assert report["matches"].status == "failed"
    assert not report.passed()
