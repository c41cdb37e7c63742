"""Each route gives a model that runs, and says as what its weights are stored."""

import logging
import os
import sys
import types

import pytest
import torch

from smallport import lstm
from smallport.quantize import onnx as onnx_route
from smallport.quantize.routes import ROUTES, Route, route_named, stored_types
from smallport.quantize.routes.onnx_files import folded
from smallport.quantize.routes.prepared import most_bytes, tensors_in

WORDS = 400
CONFIG = lstm.LSTMConfig(embedding_size=256, hidden_size=128, layers=1)
FLOATS = {"embedding": "float32", "LSTM": "float32", "decoder": "float32"}
STORED = {
    "eager float32": FLOATS,
    "eager int8": FLOATS | {"LSTM": "int8", "decoder": "int8"},
    "eager int8, embedding too": {"embedding": "uint8", "LSTM": "int8", "decoder": "int8"},
    "ONNX float32": FLOATS,
    "ONNX int8": {"embedding": "uint8", "LSTM": "int8", "decoder": "int8"},
    "ONNX int8, loss inside": {"embedding": "uint8", "LSTM": "int8", "decoder": "int8"},
    "ONNX int8 per tensor": {"embedding": "uint8", "LSTM": "int8", "decoder": "int8"},
    "ONNX 4-bit embedding": {"embedding": "uint4", "LSTM": "int8", "decoder": "int8"},
    "ONNX 4-bit": {"embedding": "uint4", "LSTM": "int8", "decoder": "uint4"},
    "ONNX 2 to 4 bits": {"embedding": "uint2 and uint4", "LSTM": "int8", "decoder": "uint4"},
}


def make_model(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return lstm.WordLanguageModel(WORDS, CONFIG).eval()


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("routes")


@pytest.fixture(scope="module")
def text():
    return torch.randint(WORDS, (112,), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", STORED)
def test_a_route_stores_what_its_name_says_and_predicts_as_the_model_does(
    model, folder, text, name
):
    prepared = route_named(name).prepare(model, folder)
    assert prepared.stored == STORED[name]
    losses = lstm.losses(prepared.model, text)
    expected = lstm.losses(model, text)
    assert losses.shape == expected.shape
    difference = (losses - expected).abs().max()
    assert difference < (1e-5 if prepared.stored == FLOATS else 0.1)
    if prepared.stored != FLOATS:
        assert difference > 1e-5, "this is the model in floats"
    tokens = text[:25].view(-1, 1)
    with torch.no_grad():
        logits, _ = prepared.model(tokens, model.initial_state(1))
    of_logits = lstm.token_losses(logits[:-1], tokens[1:])
    torch.testing.assert_close(of_logits, losses[:24], rtol=0, atol=1e-4)


def test_fewer_bits_take_less_room(model, folder):
    sizes = [
        route_named(name).prepare(model, folder).megabytes for name in STORED if "ONNX" in name
    ]
    in_floats, eight, inside, per_tensor, embedding, four, two = sizes
    assert in_floats > eight == inside > per_tensor > embedding > four > two


def test_another_model_in_the_same_folder_gets_files_of_its_own(model, folder, text):
    other = make_model(seed=1)
    found = route_named("ONNX float32").prepare(other, folder).model
    torch.testing.assert_close(lstm.losses(found, text), lstm.losses(other, text))
    assert folded(model, folder, onnx_route.export_lstm) != folded(
        other, folder, onnx_route.export_lstm
    )


def test_names_of_routes_are_unique_and_the_first_is_the_model_in_floats():
    names = [route.name for route in ROUTES]
    assert len(set(names)) == len(names)
    assert names[0] == "eager float32"
    assert all(route.maintenance for route in ROUTES)


def test_a_route_that_lacks_something_says_what(monkeypatch):
    monkeypatch.setenv("PATH", "")
    lacking = Route("x", print, packages=("torch", "no_such_package"))
    assert lacking.missing() == "not installed: no_such_package"
    assert Route("x", print, compiler=True).missing() == "no C++ compiler"
    assert Route("x", print, packages=("torch",)).missing() == ""


def test_an_unknown_route_lists_the_known_ones():
    with pytest.raises(KeyError, match=r"no route is called 'int3'; there are: eager float32"):
        route_named("int3")


class Wrapped:
    """What torchao's tensors are: something that hands out the tensors it is made of."""

    codes = torch.zeros(8, dtype=torch.int8)

    def __tensor_flatten__(self):
        return ["codes"], None


def test_types_are_read_from_inside_of_wrapped_tensors():
    wrapped = Wrapped()
    assert [tensor.dtype for tensor in tensors_in((wrapped, "text", 1))] == [torch.int8]
    assert stored_types({"decoder.weight": wrapped}) == {"decoder": "int8"}


def test_small_shares_of_other_types_are_not_named():
    assert most_bytes([("LSTM", "qint8", 85), ("LSTM", "float32", 15)]) == {"LSTM": "int8"}
    both = most_bytes([("LSTM", "uint4", 50), ("LSTM", "uint2", 50)])
    assert both == {"LSTM": "uint2 and uint4"}


def test_torch_compile_compiles_a_copy_for_every_length(model, folder, monkeypatch):
    compiled, places = [], []

    def compile_nothing(module, **options):
        compiled.append((module, options))
        places.append(os.environ["TORCHINDUCTOR_CACHE_DIR"])

    monkeypatch.setattr(torch.nn.Module, "compile", compile_nothing)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")
    prepared = route_named("torch.compile").prepare(model, folder)
    assert places == [str(folder / "compiled")]
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "mine"
    [(module, options)] = compiled
    assert module is prepared.model.model
    assert module is not model
    assert options["dynamic"]


@pytest.mark.parametrize("name", [route.name for route in ROUTES if "openvino" in route.packages])
def test_openvino_stores_what_its_name_says(model, folder, text, name):
    route = route_named(name)
    if reason := route.missing():
        pytest.skip(f"{name}: {reason}")
    prepared = route.prepare(model, folder)
    kind = {"32": "float32", "8-": "int8", "4-": "uint4"}[name.split()[1].strip("floabit")[:2]]
    assert prepared.stored == {"embedding": kind, "LSTM": "float32", "decoder": kind}
    assert (lstm.losses(prepared.model, text) - lstm.losses(model, text)).abs().max() < 0.1


def test_openvino_is_imported_without_its_telemetry(monkeypatch):
    openvino = pytest.importorskip("smallport.quantize.routes.openvino")
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    monkeypatch.setitem(sys.modules, "a_package", types.ModuleType("a_package"))
    assert openvino.without_telemetry("a_package").__name__ == "a_package"
    assert sys.modules["openvino_telemetry"] is None
    with pytest.raises(ImportError):
        __import__("openvino_telemetry")


def test_torchao_leaves_the_lstm(model, text):
    route = route_named("torchao int8")
    if reason := route.missing():
        pytest.skip(f"torchao: {reason}")
    logging.getLogger("torchao").setLevel(logging.ERROR)
    prepared = route.prepare(model, None)
    assert prepared.stored == FLOATS | {"decoder": "int8"}
    assert (lstm.losses(prepared.model, text) - lstm.losses(model, text)).abs().max() < 0.1
