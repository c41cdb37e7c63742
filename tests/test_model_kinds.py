"""Tests of :mod:`smallport.export.model_kinds`, and of the check of such models."""

import copy

import pytest
import torch
import transformers
from torch import nn

from smallport import check_export
from smallport.architectures.tiny import tiny_model
from smallport.export.model_kinds import (
    arguments_of,
    number_of_parameters,
    quantized_parts,
    unwrapped,
)
from smallport.parity import cache_argument
from smallport.quantize.eager import quantize_model


@pytest.fixture(scope="module")
def llama():
    return tiny_model("llama")


class Logged(nn.Module):
    """A wrapper that takes anything, as adapters do."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, *args, **kwargs):
        """Pass everything on."""
        return self.model(*args, **kwargs)


class Scaled(Logged):
    """A wrapper that takes anything, and changes what comes back."""

    def forward(self, *args, **kwargs):
        """Double the logits."""
        outputs = self.model(*args, **kwargs)
        return {"logits": 2 * outputs.logits, "past_key_values": outputs[cache_argument()]}


def test_a_wrapper_that_passes_everything_on_is_looked_through(llama):
    assert unwrapped(Logged(Logged(llama))) is llama
    report = check_export(Logged(llama), until="ran")
    assert report.passed(), report
    assert "inside Logged" in report["built"].found
    assert "it keeps keys and values; with its cache" in report["ran"].found


def test_a_wrapper_that_changes_something_is_compared_as_it_is_with_the_cache(llama):
    scaled = Scaled(llama)
    assert unwrapped(scaled) is scaled
    report = check_export(scaled, until="decodes")
    assert report.passed(), report
    assert "5 tensors agree in every element" in report["matches"].found


class Flagged(nn.Module):
    """A module of one's own that is told by a flag to return its cache."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, input_ids, attention_mask=None, past_key_values=None, use_cache=None):
        """Pass them on."""
        inputs = {"attention_mask": attention_mask, cache_argument(): past_key_values}
        return self.model(input_ids, **inputs, use_cache=use_cache)


def test_the_flag_for_the_cache_is_no_input_of_the_program(llama):
    report = check_export(Flagged(llama), until="matches")
    assert report.passed(), report


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, lambda model: torch.compile(model, backend="eager")]
)
def test_parallel_and_compiled_models_are_checked_inside(llama, wrap):
    wrapped = wrap(llama).eval()
    assert unwrapped(wrapped) is llama
    report = check_export(wrapped, until="ran")
    assert report.passed(), report
    assert f"inside {type(wrapped).__name__}" in report["built"].found
    assert "it keeps keys and values" in report["ran"].found


def test_arguments_are_not_guessed_where_two_parts_take_tokens(llama):
    two = Logged(llama)
    two.other = copy.deepcopy(llama)
    assert set(arguments_of(two)) == {"args", "kwargs"}
    report = check_export(two, until="ran")
    assert "pass inputs= with what it takes" in report["ran"].error
    ids = torch.randint(0, 100, (2, 8))
    assert check_export(two, {"input_ids": ids}, until="ran").passed()


def test_a_model_that_is_quantized_already_is_named(llama):
    quantized = quantize_model(llama)
    assert quantized_parts(quantized) == ["DynamicQuantizedLinear"]
    assert not quantized_parts(llama)
    report = check_export(quantized)
    assert report.failure().stage == "built"
    assert "quantized already (" in report["built"].found
    assert "quantize the ONNX file" in report["built"].found
    assert "parameters" not in report["built"].found


def test_a_method_of_quantization_that_only_the_configuration_names_is_told(llama):
    model = copy.deepcopy(llama)
    model.config.quantization_config = {"quant_method": "gptq", "bits": 4}
    assert "(quantization_config: gptq)" in check_export(model)["built"].found


def test_layers_for_training_that_round_nothing_yet_are_not_quantized():
    fused = torch.ao.nn.intrinsic.LinearReLU(nn.Linear(2, 2), nn.ReLU())
    assert not quantized_parts(fused)
    assert quantized_parts(quantize_model(nn.Sequential(nn.LSTM(4, 4)).eval())) == [
        "DynamicQuantizedLSTM"
    ]


def test_weights_that_layers_share_are_counted_once(llama):
    model = copy.deepcopy(llama)
    alone = number_of_parameters(model)
    model.lm_head.weight = nn.Parameter(model.model.embed_tokens.weight.detach())
    shared = model.lm_head.weight.numel()
    assert number_of_parameters(model) == alone - shared
    assert f"{alone - shared:,} parameters" in check_export(model, until="built")["built"].found


class Autocast(Logged):
    """A model that computes in half precision inside, although its weights are floats."""

    def forward(self, input_ids, attention_mask=None):
        """Compute in half precision, and return floats."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return {"logits": logits.float()}


class HalfAndSplit(nn.Module):
    """A model in which one layer rounds, and only what it returns in a tuple shows it."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(50, 8), nn.Linear(4, 50)
        self.eval()

    def forward(self, input_ids):
        """Take half of each vector."""
        return {"logits": self.head(self.table(input_ids).half().chunk(2, dim=-1)[0].float())}


@pytest.mark.parametrize(
    ("model", "said"),
    [(Autocast, "in torch.bfloat16 in model."), (HalfAndSplit, "in torch.float16 in HalfAndSplit")],
)
def test_half_precision_inside_is_told_with_its_places(llama, model, said):
    report = check_export(model(llama) if model is Autocast else model())
    assert report.failure().stage == "ran"
    assert f"its weights are torch.float32, and it computes {said}" in report["ran"].found
    assert "more parts" in report["ran"].found or model is HalfAndSplit


def test_doubles_are_not_called_coarse(llama):
    found = check_export(copy.deepcopy(llama).double())["built"].found
    assert "should all be torch.float32" in found
    assert "torch.float64" in found
    assert "coarse" not in found


class Limited(nn.Module):
    """A model that has trouble of its own beyond some tokens."""

    def __init__(self, trouble, most=32, **configuration):
        super().__init__()
        self.table, self.head = nn.Embedding(50, 8), nn.Linear(8, 50)
        self.places = nn.Embedding(most, 8)
        self.trouble = trouble
        if configuration:
            self.config = transformers.PreTrainedConfig(vocab_size=50, **configuration)
        self.eval()

    def forward(self, input_ids):
        """Return NaN, or fail, where a text is long."""
        places = torch.arange(input_ids.shape[1])
        if self.trouble == "fails":
            return {"logits": self.head(self.table(input_ids) + self.places(places))}
        hidden = self.table(input_ids)
        return {"logits": self.head(hidden.where(places[:, None] < 64, torch.nan))}


def test_the_troubles_of_the_model_itself_are_told_as_its_own():
    report = check_export(Limited("returns NaN"))
    assert report.failure().stage == "matches"
    found = report["matches"].found
    assert found == "the model itself returns NaN or infinity in logits at batch 1, 0 + 65 tokens"
    assert not report["matches"].rejected


def test_the_longest_text_of_a_model_is_found_and_told():
    report = check_export(Limited("fails", 70), until="matches")
    assert report.passed(), report
    assert "it takes texts of at most 70 tokens" in report["ran"].found
    assert max(report.coverage.compared["lengths"]) == 70


@pytest.mark.parametrize("most", [8, 9, 20])
def test_a_short_context_is_no_trouble_where_the_configuration_tells_it(most):
    report = check_export(Limited("fails", most, max_position_embeddings=most), until="decodes")
    assert report.passed(), report
    assert max(report.coverage.compared["lengths"]) == most


def test_a_short_context_of_transformers_is_no_trouble_with_a_cache():
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 50, "n_positions": 8}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes)).eval()
    report = check_export(model, until="decodes")
    assert report.passed(), report
    assert max(report.coverage.compared["lengths"]) == 8
    assert report.coverage.compared["decoding steps"] == [2]


def test_a_context_that_is_too_short_for_a_check_is_told():
    error = check_export(Limited("fails", 7, max_position_embeddings=7), until="ran")["ran"].error
    assert "texts of Limited have 7 tokens (max_position_embeddings), and a check needs 8" in error


class Own(nn.Module):
    """A model of words one by one, whose logits pass through something."""

    def __init__(self, change):
        super().__init__()
        self.table, self.head, self.change = nn.Embedding(50, 8), nn.Linear(8, 50), change
        self.register_buffer("calls", torch.zeros(()))
        self.eval()

    def forward(self, input_ids):
        """Score the words."""
        return {"logits": self.change(self, self.head(self.table(input_ids)))}


def count_calls(model, logits):
    """Change with every call."""
    model.calls += 1
    return logits + model.calls


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _, logits: nn.functional.dropout(logits), "it draws random numbers"),
        (count_calls, "a call changes what the next one computes with"),
    ],
)
def test_why_two_equal_calls_differ_is_told(change, said):
    found = check_export(Own(change), until="ran")["ran"].found
    assert "two calls of the model itself with the same inputs return different results" in found
    assert said in found


def test_texts_that_change_each_other_are_told():
    report = check_export(Own(lambda _, logits: logits - logits.mean(0)), until="ran")
    assert "a text changes the logits of others in its batch" in report["ran"].found


@pytest.mark.parametrize(
    "change",
    [
        lambda _, logits: 0 * logits,
        lambda _, logits: logits[..., :1].expand(-1, -1, 50),
        lambda _, logits: torch.where(torch.arange(50) == 3, -torch.inf, logits),
    ],
)
def test_ties_and_expanded_or_forbidden_logits_are_no_trouble(change):
    report = check_export(Own(change))
    assert report.passed(), report


class Both(nn.Module):
    """A language model that reads in both directions, as no causal one does."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(50, 8), nn.Linear(8, 50)
        self.rnn = nn.GRU(8, 4, batch_first=True, bidirectional=True)
        self.eval()

    def forward(self, input_ids):
        """Score the words."""
        return {"logits": self.head(self.rnn(self.table(input_ids))[0])}


def test_a_model_that_reads_later_tokens_is_told():
    found = check_export(Both(), until="ran")["ran"].found
    assert "a token changes the logits before it, which is the model's doing" in found


class Required(nn.Module):
    """A wrapper that always wants a cache."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, input_ids, attention_mask, past_key_values):
        """Pass them on."""
        return self.model(input_ids, attention_mask, **{cache_argument(): past_key_values})


def test_an_argument_without_a_default_is_named(llama):
    error = check_export(Required(llama), until="ran")["ran"].error
    assert "cannot be called without past_key_values" in error
    assert "give it a default of None" in error
