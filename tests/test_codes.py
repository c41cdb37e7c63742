"""Integers are those of a weight, fine enough, and multiplied, or a check says which are not."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.ao.nn.quantized import dynamic

from smallport.lstm import LSTMConfig, WordLanguageModel
from smallport.quantize import quantize_model, require_integers
from smallport.quantize.codes import require_codes


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return WordLanguageModel(300, LSTMConfig(48, 64, layers=2)).eval()


@pytest.mark.parametrize("embedding", [False, True])
def test_a_quantized_model_has_the_integers_of_its_weights(model, embedding):
    require_integers(model, quantize_model(model, embedding=embedding))


def test_a_gru_is_looked_at_too():
    model = nn.Sequential(nn.GRU(8, 8)).eval()
    require_integers(model, quantize_model(model))


def test_integers_of_another_model_are_refused(model):
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.rnn.weight_hh_l1.mul_(1.03)
    with pytest.raises(AssertionError, match=r"rnn\.weight_hh_l1: an element is"):
        require_integers(other, quantize_model(model))


def test_a_model_in_floats_is_refused(model):
    with pytest.raises(AssertionError, match="no layer with weights in 8 bits"):
        require_integers(model, copy.deepcopy(model))


def test_a_layer_that_multiplies_floats_is_refused(model, monkeypatch):
    quantized = quantize_model(model)
    monkeypatch.setattr(
        dynamic.Linear,
        "forward",
        lambda self, inputs: nn.functional.linear(inputs, self.weight().dequantize(), self.bias()),
    )
    with pytest.raises(AssertionError, match=r"decoder: its result is .* does not multiply integ"):
        require_integers(model, quantized)


@given(st.integers(2, 256), st.integers(0, 1000))
def test_levels_are_counted_where_a_weight_is_large(levels, seed):
    weight = torch.rand(100, 100, generator=torch.Generator().manual_seed(seed))
    codes = (weight * (levels - 1)).round()
    if levels > 65:
        require_codes("weight", weight, codes, 1 / (levels - 1), 0)
    elif levels < 65:
        with pytest.raises(AssertionError, match=f"only {levels} distinct integers"):
            require_codes("weight", weight, codes, 1 / (levels - 1), 0)


@given(st.floats(0.6, 100), st.sampled_from([-1, 1]), st.integers(0, 24))
def test_one_integer_that_is_not_the_nearest_is_found(steps, sign, place):
    weight = torch.linspace(-1, 1, 25)
    codes = (weight / 0.01).round()
    require_codes("weight", weight, codes, 0.01, 0)
    codes[place] += sign * round(steps + 0.5)
    with pytest.raises(AssertionError, match="steps from its integer"):
        require_codes("weight", weight, codes, 0.01, 0)
