"""Errors are measured in multiples of the model's own, and what is above the limit is found."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from smallport import check_export
from smallport.architectures.broken import broken_model
from smallport.architectures.tiny import tiny_model
from smallport.export.examine import examine_model
from smallport.export.own_results import in_double_precision
from smallport.export.under_test import ModelUnderTest
from smallport.parity import cache_argument, yardstick
from smallport.parity.closeness import Discrepancy
from smallport.parity.inputs import InputShape, Vocabulary
from smallport.parity.yardstick import MULTIPLE, error_ratios, require_errors_found, widened

DTYPES = [torch.bfloat16, torch.float16, torch.float32]


def results(dtype, seed=0):
    exact = torch.randn(
        3, 4, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return {"logits": exact}, {"logits": exact.to(dtype)}


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_has_its_own_errors(dtype):
    exact, expected = results(dtype)
    assert error_ratios(exact, expected, expected)["logits"] <= 1


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(DTYPES), st.integers(0, 1000), st.floats(1.6, 1e6), st.integers(0, 599))
def test_an_error_above_the_limit_is_found_wherever_it_is(dtype, seed, multiple, place):
    exact, expected = results(dtype, seed)
    largest = (expected["logits"].double() - exact["logits"]).abs().max()
    step = torch.finfo(dtype).eps / 2 * exact["logits"].abs().max()
    actual = expected["logits"].double()
    actual.view(-1)[place] = exact["logits"].view(-1)[place] + multiple * max(largest, step)
    assert error_ratios(exact, expected, {"logits": actual})["logits"] > MULTIPLE


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(DTYPES), st.integers(0, 1000), st.floats(0, 1))
def test_no_error_below_the_model_s_is_claimed(dtype, seed, share):
    exact, expected = results(dtype, seed)
    between = exact["logits"] + share * (expected["logits"].double() - exact["logits"])
    assert error_ratios(exact, expected, {"logits": between})["logits"] <= 1


@pytest.fixture(scope="module")
def half_models():
    """Make the models under test whose limit is a multiple of their own errors."""
    return {
        dtype: ModelUnderTest(
            tiny_model("llama").to(dtype), (), {}, Vocabulary(2), None, cache="", state=""
        )
        for dtype in DTYPES[:2]
    }


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(DTYPES[:2]),
    st.integers(0, 1000),
    st.floats(0, 10),
    st.none() | st.integers(0, 599),
)
def test_exactly_the_errors_above_the_limit_are_rejected(half_models, dtype, seed, multiple, place):
    """In each tensor: an error of one element, or of all, in multiples of the model's."""
    assume(abs(multiple - MULTIPLE) > 1e-6)
    exact, expected, actual = {}, {}, {}
    for number in range(1 + seed % 3):
        name, rounded = f"present.{number}.key", results(dtype, seed + number)
        exact[name] = rounded[0]["logits"]
        # A model of some layers makes errors of several roundings.
        expected[name] = (exact[name] + 6 * (rounded[1]["logits"].double() - exact[name])).to(dtype)
        actual[name] = expected[name].double()
    own = actual[name] - exact[name]
    if place is None:
        actual[name] = exact[name] + multiple * own
    else:
        actual[name] = actual[name].clone()
        actual[name].view(-1)[place] = exact[name].view(-1)[place] + multiple * own.abs().max()
    ratios = error_ratios(exact, expected, actual)
    found = Discrepancy(dict.fromkeys(ratios, 0.1), dict.fromkeys(ratios, 0.1), {}, ratios=ratios)
    assert half_models[dtype].accepts(found) == (multiple <= MULTIPLE)
    others = [ratio for other, ratio in ratios.items() if other != name]
    assert all(ratio == 1 for ratio in others)
    if multiple > MULTIPLE:
        assert max(ratios, key=ratios.get) == name


def test_what_has_no_ratio_is_not_accepted_in_half_precision(half_models):
    found = Discrepancy({"logits": 0.0}, {"logits": 0.0}, {"logits": ""})
    assert not half_models[torch.bfloat16].accepts(found)


def test_integers_have_to_be_equal_and_nan_is_an_error():
    numbers = {"tokens": torch.tensor([1, 2])}
    assert error_ratios(numbers, numbers, numbers) == {"tokens": 0}
    assert error_ratios(numbers, numbers, {"tokens": torch.tensor([1, 3])})["tokens"] == math.inf
    exact, expected = results(torch.bfloat16)
    broken = {"logits": expected["logits"].clone()}
    broken["logits"][0, 0, 0] = math.nan
    assert error_ratios(exact, expected, broken)["logits"] == math.inf


def test_an_infinity_of_both_is_no_error():
    exact = {"logits": torch.tensor([0.1, -math.inf], dtype=torch.float64)}
    expected = {"logits": exact["logits"].bfloat16()}
    assert error_ratios(exact, expected, expected)["logits"] <= 1
    require_errors_found(exact, expected)


@pytest.mark.parametrize("blind", ["logits", "present.0.key"])
def test_ratios_that_leave_a_tensor_out_are_noticed(blind, monkeypatch):
    exact, expected = results(torch.bfloat16)
    exact, expected = (one | {"present.0.key": one["logits"] / 3} for one in (exact, expected))
    require_errors_found(exact, expected)
    monkeypatch.setattr(
        yardstick, "error_ratios", lambda *three: {**error_ratios(*three), blind: 0.0}
    )
    with pytest.raises(RuntimeError, match="nothing that is compared counts"):
        require_errors_found(exact, expected)


def test_other_tensors_are_no_result():
    exact, expected = results(torch.bfloat16)
    with pytest.raises(ValueError, match="compare the same tensors"):
        error_ratios(exact, expected, {"scores": expected["logits"]})


def test_inputs_are_widened_with_their_cache_and_left_alone():
    model = tiny_model("llama").bfloat16()
    ids = torch.ones(2, 3, dtype=torch.int64)
    with torch.no_grad():
        cache = model(ids, use_cache=True)[cache_argument()]
    inputs = {"input_ids": ids, "cache": cache}
    wide = widened(inputs)
    assert wide["cache"].layers[0].keys.dtype == torch.float64
    assert wide["input_ids"].dtype == torch.int64
    assert cache.layers[0].keys.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_right_model_in_half_precision_passes_and_says_what_it_leaves_out(dtype):
    report = check_export(tiny_model("llama").to(dtype), until="decodes")
    assert report, str(report)
    assert report["matches"].error_ratio <= MULTIPLE
    assert report.coverage.compared["dtype"] == [str(dtype).removeprefix("torch.")]
    assert "such as one wrong weight" in report.coverage.not_compared["small errors"]
    required = check_export(tiny_model("llama").to(dtype), until="ran", require={"small errors"})
    assert "not compared: errors below the rounding of" in required["ran"].found


def test_a_program_in_half_precision_that_ignores_the_mask_fails():
    report = check_export(broken_model().bfloat16(), until="decodes")
    assert report.failure().stage == "matches"
    assert "times the model's own, and may be 1.5 times" in report["matches"].found


@pytest.fixture(scope="module")
def half_file(tmp_path_factory):
    """Export a model in half precision."""
    folder = tmp_path_factory.mktemp("half")
    assert check_export(tiny_model("llama").bfloat16(), save=folder, until="exported")
    return folder / "model.pt2"


@pytest.mark.parametrize(
    ("change", "tensor"),
    [
        (lambda model: model.lm_head.weight[5].zero_(), "logits"),
        (lambda model: model.model.layers[1].self_attn.k_proj.weight[0].zero_(), "present.1.key"),
        (lambda model: model.model.layers[0].mlp.down_proj.weight[3].zero_(), "logits"),
    ],
)
def test_a_lost_row_in_half_precision_is_found_with_tensor_and_shape(half_file, change, tensor):
    model = tiny_model("llama").bfloat16()
    with torch.no_grad():
        change(model)
    report = check_export(model, against=half_file, shapes=[InputShape(3, 7, 5)])
    assert report.failure().stage == "matches"
    assert report["matches"].error_ratio > MULTIPLE
    assert report["matches"].where.startswith(tensor), report["matches"].where
    assert " at batch " in report["matches"].where


@pytest.mark.parametrize(
    ("name", "computes"), [("llama", True), ("gemma2", False), ("bloom", False), ("mixtral", False)]
)
def test_a_copy_that_cannot_compute_in_float64_is_no_yardstick(name, computes):
    """Bloom and Gemma 2 return NaN for padding there, and Mixtral fails."""
    copied = in_double_precision(examine_model(tiny_model(name)))
    assert (copied is not None) == computes


@pytest.mark.parametrize(
    ("name", "dtype"), [("gemma2", torch.float32), ("mixtral", torch.bfloat16)]
)
def test_a_model_without_a_copy_in_float64_is_checked_all_the_same(name, dtype):
    report = check_export(tiny_model(name).to(dtype), until="decodes", shapes=[InputShape(3, 7, 5)])
    assert report, str(report)
    assert (report["matches"].error_ratio is None) == (dtype == torch.float32)
    assert report["matches"].error_ratio is None or report["matches"].error_ratio <= MULTIPLE


def test_errors_in_float32_have_a_yardstick():
    report = check_export(tiny_model("llama"), until="matches")
    assert 0 < report["matches"].error_ratio <= MULTIPLE


def test_weights_of_two_types_are_refused():
    model = tiny_model("llama")
    model.lm_head.bfloat16()
    report = check_export(model, until="built")
    assert "all be torch.float32, torch.bfloat16 or torch.float16" in report["built"].found


class Float32Only(torch.nn.Module):
    """A Llama that reads long texts in float32 only."""

    def __init__(self):
        super().__init__()
        self.inside = tiny_model("llama")
        self.config = self.inside.config
        self.eval()

    def forward(self, input_ids, attention_mask=None, position_ids=None):
        """Return the logits."""
        if self.inside.lm_head.weight.dtype == torch.float64 and input_ids.shape[1] > 10:
            raise TypeError("expected float32")
        return self.inside(input_ids, attention_mask, position_ids, use_cache=False)


def test_a_model_that_needs_float32_has_fewer_ratios_and_no_failure():
    report = check_export(Float32Only(), until="decodes", require=())
    assert report, str(report)
