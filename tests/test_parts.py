"""Parts compute what the whole model computes, in both precisions, on the threads asked for."""

import onnx
import pytest
import torch

from smallport.bench import parts
from smallport.bench.parts import Setting
from smallport.lstm import LSTMConfig, WordLanguageModel
from smallport.quantize.onnx.contents import operator_counts

SETTING = Setting("model", batch=3, length=4, threads=1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LSTMConfig(embedding_size=16, hidden_size=8, layers=2)
    return WordLanguageModel(50, config).eval()


@pytest.fixture(scope="module")
def onnx_folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    return folder, parts.onnx_variants(folder, model)


@pytest.fixture
def routes(model, onnx_folder):
    return {"eager": parts.eager_variants(model), "ONNX": onnx_folder[1]}


def first(outputs):
    """Give the first output of a call, as a tensor."""
    return outputs if isinstance(outputs, torch.Tensor) else torch.as_tensor(outputs[0])


@torch.no_grad()
def expected(model, part, example):
    return {
        "model": lambda: model(example.tokens, example.state)[0],
        "LSTM": lambda: example.output,
        "decoder": lambda: model.decoder(example.output),
    }[part]()


@pytest.mark.parametrize("route", ["eager", "ONNX"])
@pytest.mark.parametrize("part", parts.PARTS)
def test_every_part_computes_what_its_name_says(model, routes, route, part):
    setting = Setting(part, batch=3, length=4, threads=1)
    wanted = expected(model, part, parts.make_example(model, 3, 4))
    in_floats = first(routes[route].float32(setting)())
    in_int8 = first(routes[route].int8(setting)())
    torch.testing.assert_close(in_floats, wanted, rtol=0, atol=1e-6)
    torch.testing.assert_close(in_int8, wanted, rtol=0, atol=0.05)
    assert not torch.allclose(in_int8, wanted, rtol=0, atol=1e-6), "int8 computes in floats"
    assert not in_floats.requires_grad
    assert not in_int8.requires_grad


def test_parts_share_out_the_operators_of_the_file(onnx_folder):
    folder, _ = onnx_folder
    for name, lstm_operator in (("float32", "LSTM"), ("int8", "DynamicQuantizeLSTM")):
        counts = {
            part: operator_counts(folder / f"{name}{suffix}.onnx")
            for part, suffix in (("model", ""), ("LSTM", ".LSTM"), ("decoder", ".decoder"))
        }
        assert counts["LSTM"][lstm_operator] == counts["model"][lstm_operator] == 2
        assert lstm_operator not in counts["decoder"]
        assert not any(operator.startswith("MatMul") for operator in counts["LSTM"])
        assert any(operator.startswith("MatMul") for operator in counts["decoder"])
        whole, lstm, decoder = (sum(counts[part].values()) for part in parts.PARTS)
        embedding = {"float32": 1, "int8": 2}[name]  # Gather, and DequantizeLinear
        assert lstm + decoder + embedding == whole
    onnx.checker.check_model(onnx.load(folder / "float32.decoder.onnx"))


def test_words_are_always_the_same_and_as_many_as_asked_for(model):
    example = parts.make_example(model, batch=3, length=4)
    assert example.tokens.shape == (4, 3)
    assert example.embedded.shape == (4, 3, 16)
    assert example.output.shape == (4, 3, 8)
    assert len(example.tokens.unique()) > 6
    assert torch.equal(example.tokens, parts.make_example(model, 3, 4).tokens)


def test_eager_pytorch_is_given_the_threads(model, monkeypatch):
    given = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    route = parts.eager_variants(model)
    for threads in (2, 1):
        setting = Setting("LSTM", batch=1, length=1, threads=threads)
        route.float32(setting)
        route.int8(setting)
    assert given == [2, 2, 1, 1]


def test_a_session_of_onnx_runtime_is_given_the_threads(onnx_folder, monkeypatch):
    _, route = onnx_folder
    given = []
    session = parts.ort.InferenceSession

    def noting(file, options, **others):
        given.append(options.intra_op_num_threads)
        return session(file, options, **others)

    monkeypatch.setattr(parts.ort, "InferenceSession", noting)
    for threads in (3, 4, 3):
        route.float32(Setting("decoder", batch=1, length=1, threads=threads))
    assert given == [3, 4], "one session for each number of threads"
