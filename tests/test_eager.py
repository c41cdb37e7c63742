"""Quantize a model, on machines that have an engine and on those that have none."""

import warnings

import pytest
import torch
from torch import nn

from smallport import quantize
from smallport.lstm import PUBLISHED, LSTMConfig, WordLanguageModel


@pytest.fixture
def model():
    torch.manual_seed(0)
    return WordLanguageModel(50, LSTMConfig(embedding_size=16, hidden_size=8, layers=2)).eval()


def test_lstm_and_decoder_are_quantized_and_the_original_is_left_alone(model):
    quantized = quantize.quantize_model(model)
    assert type(quantized.rnn) is torch.ao.nn.quantized.dynamic.LSTM
    assert type(quantized.decoder) is torch.ao.nn.quantized.dynamic.Linear
    assert type(quantized.encoder) is nn.Embedding
    assert type(model.rnn) is nn.LSTM


def test_quantized_model_answers_nearly_as_the_original(model):
    tokens = torch.randint(50, (7, 3), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, _ = model(tokens, model.initial_state(3))
        actual, _ = quantize.quantize_model(model)(tokens, model.initial_state(3))
    assert (actual - expected).abs().max() < 0.02
    assert not torch.equal(actual, expected)


@pytest.mark.parametrize("layer", [nn.Conv1d(8, 8, 3), nn.RNN(8, 8)])
def test_other_large_layers_that_stay_in_floats_are_named(layer):
    model = nn.Sequential(nn.Linear(64, 64), layer, nn.LayerNorm(1), nn.Embedding(9, 9)).eval()
    with pytest.warns(UserWarning, match=rf"stay in floats: 1 \({type(layer).__name__}\)\. Only"):
        quantized = quantize.quantize_model(model)
    assert type(quantized[0]) is torch.ao.nn.quantized.dynamic.Linear


def test_other_warnings_are_not_silenced():
    with pytest.warns(UserWarning, match="something else"), quantize.known_warnings_ignored():
        warnings.warn("something else", UserWarning, stacklevel=1)


class Backend:
    """Stand in for ``torch.backends.quantized``."""

    def __init__(self, engine, supported):
        self.engine = engine
        self.supported_engines = supported


@pytest.mark.parametrize(
    ("supported", "chosen"), [(["none", "qnnpack"], "qnnpack"), (["none", "onednn"], "onednn")]
)
def test_an_engine_is_chosen_where_there_was_none(monkeypatch, supported, chosen):
    backend = Backend("none", supported)
    monkeypatch.setattr(torch.backends, "quantized", backend)
    assert quantize.ensure_engine() == chosen
    assert backend.engine == chosen


def test_an_engine_that_was_chosen_stays(monkeypatch):
    monkeypatch.setattr(torch.backends, "quantized", Backend("fbgemm", ["qnnpack", "fbgemm"]))
    assert quantize.ensure_engine() == "fbgemm"


def test_a_build_without_engines_is_named(monkeypatch):
    monkeypatch.setattr(torch.backends, "quantized", Backend("none", ["none"]))
    with pytest.raises(RuntimeError, match=r"no engine .*supported_engines = \['none'\]"):
        quantize.ensure_engine()


def test_size_is_that_of_the_saved_file(tmp_path):
    model = nn.Linear(300, 200)
    file = tmp_path / "model.pt"
    torch.save(model.state_dict(), file)
    assert quantize.state_dict_megabytes(model) * 1e6 == pytest.approx(file.stat().st_size, abs=500)


def test_size_of_the_published_architecture():
    with torch.device("meta"):
        model = WordLanguageModel(33_278, PUBLISHED)
    size = quantize.state_dict_megabytes(model.to_empty(device="cpu"))
    assert size == pytest.approx(113.945, abs=0.01)


def test_a_gru_is_quantized_and_computes_nearly_the_same():
    torch.manual_seed(0)
    layer = nn.Sequential(nn.GRU(16, 16)).eval()
    quantized = quantize.quantize_model(layer)[0]
    assert type(quantized) is torch.ao.nn.quantized.dynamic.GRU
    inputs = torch.randn(5, 2, 16)
    found, expected = quantized(inputs)[0], layer[0](inputs)[0]
    assert 0 < float((found - expected).detach().abs().max()) < 0.1
