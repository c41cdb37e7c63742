"""An int8 file has the integers of its float file, and ONNX Runtime multiplies them."""

import onnx
import onnxruntime
import pytest
import torch

from smallport.lstm import LSTMConfig, WordLanguageModel
from smallport.quantize import onnx as route
from tests.faults.stubs.onnx_products_in_floats import restore


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WordLanguageModel(300, LSTMConfig(48, 64, layers=2)).eval()
    route.export_lstm(model, folder / "exported.onnx")
    route.fold_constants(folder / "exported.onnx", folder / "float32.onnx")
    route.quantize_file(folder / "float32.onnx", folder / "int8.onnx")
    return folder


@pytest.fixture
def changed(files, tmp_path):
    """Give a function that changes the stored tensors of the int8 file."""

    def change(ending, by):
        model = onnx.load(files / "int8.onnx")
        for tensor in model.graph.initializer:
            if tensor.name.endswith(ending):
                value = by(onnx.numpy_helper.to_array(tensor).copy())
                tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
        onnx.save(model, tmp_path / "changed.onnx")
        return tmp_path / "changed.onnx"

    return change


@pytest.mark.parametrize("options", [{}, {"per_channel": False}, {"reduce_range": True}])
def test_a_quantized_file_has_the_integers_of_the_floats(files, tmp_path, options):
    route.quantize_file(files / "float32.onnx", tmp_path / "int8.onnx", **options)
    route.require_integer_file(files / "float32.onnx", tmp_path / "int8.onnx")


def test_a_file_in_floats_is_refused(files):
    with pytest.raises(AssertionError, match=r"float32\.onnx: .* is not quantized"):
        route.require_integer_file(files / "float32.onnx", files / "float32.onnx")


def test_coarser_integers_are_refused(files, changed):
    coarse = changed("_quantized", lambda codes: codes // 16 * 16)
    with pytest.raises(AssertionError, match="steps from its integer"):
        route.require_integer_file(files / "float32.onnx", coarse)


def test_another_scale_is_refused(files, changed):
    scaled = changed("_scale", lambda scale: 1.1 * scale)
    with pytest.raises(AssertionError, match="or of another scale"):
        route.require_integer_file(files / "float32.onnx", scaled)


def test_a_file_whose_weights_are_restored_is_refused(files, tmp_path):
    model = onnx.load(files / "int8.onnx")
    restore(model.graph)
    onnx.save(model, tmp_path / "restored.onnx")
    onnxruntime.InferenceSession(tmp_path / "restored.onnx")  # it is a valid file
    with pytest.raises(AssertionError, match="ONNX Runtime multiplies floats, in MatMul"):
        route.require_integer_file(files / "float32.onnx", tmp_path / "restored.onnx")
