"""The exported LSTM computes what the model computes, at every length, and int8 is int8."""

import ast
import inspect
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from smallport import quantize
from smallport.lstm import LSTMConfig, Vocabulary, WordLanguageModel, generate, losses
from smallport.machine import int8_dot_products
from smallport.quantize import onnx as route

WORDS = 50


def make_model(config=LSTMConfig(embedding_size=24, hidden_size=16, layers=2)):  # noqa: B008
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return WordLanguageModel(WORDS, config).eval()


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    named = {name: folder / f"{name}.onnx" for name in ("exported", "folded", "int8")}
    route.export_lstm(model, named["exported"])
    route.fold_constants(named["exported"], named["folded"])
    route.quantize_file(named["folded"], named["int8"])
    assert {file.name for file in folder.iterdir()} == {file.name for file in named.values()}
    return named


@pytest.fixture(scope="module")
def unfolded(tmp_path_factory):
    """Export a model that is too large for the exporter to fold its weights by itself."""
    file = tmp_path_factory.mktemp("onnx") / "unfolded.onnx"
    route.export_lstm(make_model(LSTMConfig(embedding_size=16, hidden_size=256, layers=1)), file)
    return file


def test_files_name_no_source_files(files):
    for file in files.values():
        assert b'.py", line' not in file.read_bytes()


def tokens(length, batch=1):
    return torch.randint(WORDS, (length, batch), generator=torch.Generator().manual_seed(length))


def random_state(model, batch):
    generator = torch.Generator().manual_seed(batch)
    return tuple(
        torch.randn(part.shape, generator=generator) for part in model.initial_state(batch)
    )


@pytest.mark.parametrize("name", ["exported", "folded"])
@pytest.mark.parametrize(("length", "batch"), [(25, 2), (1, 1), (1, 5), (24, 1), (7, 3), (60, 2)])
def test_it_computes_what_the_model_computes(model, files, name, length, batch):
    exported = route.ONNXLanguageModel(files[name], threads=1)
    inputs, state = tokens(length, batch), random_state(model, batch)
    with torch.no_grad():
        expected = model(inputs, state)
    torch.testing.assert_close(exported(inputs, state), expected, atol=1e-6, rtol=0)


def test_the_file_declares_every_length_and_batch(files):
    graph = onnx.load(files["exported"]).graph
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    length, batch = shapes["tokens"]
    assert isinstance(length, str)
    assert isinstance(batch, str)
    assert shapes["logits"] == [length, batch, WORDS]
    for name in ("hidden", "cell", "hidden_out", "cell_out"):
        assert shapes[name] == [2, batch, 16]


def test_the_state_is_carried_and_the_last_shorter_chunk_counts(model, files):
    text = tokens(104).flatten()
    exported = route.ONNXLanguageModel(files["folded"])
    found = losses(exported, text, chunk=25)
    assert len(found) == 103
    torch.testing.assert_close(found, losses(model, text, chunk=103), atol=1e-6, rtol=0)


def test_it_writes_the_words_that_the_model_writes(model, files):
    vocabulary = Vocabulary(tuple(f"word{number}" for number in range(WORDS)))
    expected = generate(model, vocabulary, 60, seed=1)
    assert generate(route.ONNXLanguageModel(files["folded"]), vocabulary, 60, seed=1) == expected
    assert len(set(expected)) > 10


def test_the_model_is_left_as_it_is(model, files):
    assert files["exported"].exists()
    assert type(model.rnn) is nn.LSTM
    assert model.initial_state(3)[0].shape == (2, 3, 16)


def test_int8_has_quantized_operators_and_answers_nearly_the_same(model, files):
    counts = route.operator_counts(files["int8"])
    assert counts["DynamicQuantizeLSTM"] == 2
    assert counts["MatMulInteger"] == 1
    assert "LSTM" not in counts
    inputs, state = tokens(9, 2), random_state(model, 2)
    expected, _ = route.ONNXLanguageModel(files["folded"])(inputs, state)
    actual, _ = route.ONNXLanguageModel(files["int8"])(inputs, state)
    # Without int8 dot products, x86-64 adds two products in 16 bits, and the sums saturate
    # (ONNX Runtime, "Quantize ONNX models"): the error is larger there.
    assert 1e-6 < (actual - expected).abs().max() < (0.02 if int8_dot_products() else 0.05)


def test_every_weight_of_the_int8_file_is_an_integer(files):
    weights = [weight for weight in route.weight_types(files["int8"]) if len(weight.shape) > 1]
    matrices = [weight for weight in weights if min(weight.shape[-2:]) > 1]
    found = sorted((weight.operator, weight.dtype, weight.shape) for weight in matrices)
    assert found == [
        *[("DynamicQuantizeLSTM", "INT8", (1, 16, 64))] * 3,
        ("DynamicQuantizeLSTM", "INT8", (1, 24, 64)),
        ("Gather", "UINT8", (WORDS, 24)),
        ("MatMulInteger", "INT8", (16, WORDS)),
    ]


def test_weights_are_listed_by_size_and_add_up_to_the_file(files):
    weights = route.weight_types(files["folded"])
    sizes = [weight.megabytes for weight in weights]
    assert sizes == sorted(sizes, reverse=True)
    assert weights[0].dtype == "FLOAT"
    floats = sum(parameter.numel() for parameter in make_model().parameters())
    assert sum(sizes) == pytest.approx(4 * floats / 1e6, rel=0.01)


def test_per_tensor_has_one_scale_a_weight(files, tmp_path):
    route.quantize_file(files["folded"], tmp_path / "tensor.onnx", per_channel=False)

    def scales(file):
        return [
            weight.shape
            for weight in route.weight_types(file)
            if weight.operator == "DynamicQuantizeLSTM" and weight.name.endswith("_scale")
        ]

    assert scales(files["int8"]) == [(1, 64)] * 4
    assert scales(tmp_path / "tensor.onnx") == [(1,)] * 4


def test_weights_that_are_not_folded_are_refused(unfolded, tmp_path, caplog):
    before = logging.getLogger().level
    target = tmp_path / "int8.onnx"
    with pytest.raises(ValueError, match=r"1 LSTM operators of unfolded\.onnx would stay in float"):
        route.quantize_file(unfolded, target)
    assert not target.exists()
    assert caplog.text == ""
    assert logging.getLogger().level == before
    route.fold_constants(unfolded, tmp_path / "folded.onnx")
    route.quantize_file(tmp_path / "folded.onnx", target)
    assert route.operator_counts(target)["DynamicQuantizeLSTM"] == 1


def test_a_quantized_model_is_refused(model, tmp_path):
    with pytest.raises(TypeError, match=r"is a torch\.ao\.nn\.quantized\.dynamic.*LSTM; export"):
        route.export_lstm(quantize.quantize_model(model), tmp_path / "int8.onnx")


@pytest.mark.parametrize(
    "options", [{"bidirectional": True}, {"batch_first": True}, {"bias": False}, {"proj_size": 3}]
)
def test_an_lstm_of_another_kind_is_refused(options):
    with pytest.raises(ValueError, match="LSTMOperators takes an LSTM with biases, in one direct"):
        route.LSTMOperators(nn.LSTM(8, 4, **options))


def test_a_file_with_other_inputs_is_refused(tmp_path):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "other", [value], [output])
    opset = onnx.helper.make_opsetid("", 18)
    file = tmp_path / "other.onnx"
    onnx.save(onnx.helper.make_model(graph, ir_version=10, opset_imports=[opset]), file)
    with pytest.raises(ValueError, match=r"other\.onnx has the inputs and outputs x, y, and"):
        route.ONNXLanguageModel(file)


def test_the_other_routes_need_no_onnx():
    code = "import sys, smallport.quantize; print({'onnx', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


PAGE = Path(__file__).parents[1] / "examples" / "quantization" / "plot_40_lstm_through_onnx.py"


def code_of(text, name):
    """Find a function of the module or of LSTMOperators; write its body without its docstring."""
    nodes = ast.parse(text).body
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    nodes += [part for one in classes if one.name == "LSTMOperators" for part in one.body]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    [found] = [function for function in functions if function.name == name]
    return ast.unparse(found.body[1:])


@pytest.mark.parametrize("name", ["forward", "onnx_gates"])
def test_the_page_shows_the_code_of_the_package(name):
    package = inspect.getsource(route.LSTMOperators) + inspect.getsource(route.onnx_gates)
    assert code_of(PAGE.read_text(encoding="utf-8"), name) == code_of(package, name)


def test_a_gru_stays_in_floats_with_a_warning(tmp_path):
    weights = {name: np.ones((1, 24, 8), np.float32) for name in ("W", "R")}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("GRU", ["X", "W", "R"], ["Y"], hidden_size=8)],
        "gru",
        [onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, ["length", 1, 8])],
        [onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, ["length", 1, 1, 8])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "gru.onnx"
    )
    with pytest.warns(UserWarning, match=r"gru\.onnx keeps 1 GRU operator in floats"):
        route.quantize_file(tmp_path / "gru.onnx", tmp_path / "int8.onnx")


def test_a_model_with_other_names_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"Linear has no rnn\. Wrap the model"):
        route.export_lstm(nn.Linear(2, 2), tmp_path / "model.onnx")
