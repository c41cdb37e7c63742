"""The parts of an ONNX file sum to its size, and its operators are listed by their domain."""

import onnx
import pytest
import torch

from smallport.lstm import LSTMConfig, WordLanguageModel
from smallport.quantize import onnx as route
from smallport.quantize.onnx.contents import GRAPH, stored_bytes
from smallport.quantize.routes import route_named

WORDS = 40
EMBEDDING, HIDDEN = 256, 128
FILES = {
    "ONNX float32": "float32",
    "ONNX int8": "int8",
    "ONNX 4-bit embedding": "embedding_4bit",
    "ONNX 4-bit": "4bit",
    "ONNX 2 to 4 bits": "by_frequency",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contents")
    config = LSTMConfig(embedding_size=EMBEDDING, hidden_size=HIDDEN, layers=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WordLanguageModel(WORDS, config).eval()
    for name in FILES:
        route_named(name).prepare(model, folder)
    return {name: folder / f"{stem}.onnx" for name, stem in FILES.items()}


@pytest.mark.parametrize("name", FILES)
def test_the_parts_sum_to_the_file(files, name):
    parts = route.file_parts(files[name])
    sizes = [round(part.megabytes * 1e6) for part in parts]
    assert sum(sizes) == files[name].stat().st_size
    assert parts[:-1] == route.weight_types(files[name])
    assert parts[-1].name == GRAPH
    assert 0 < sizes[-1] < 20_000, "tensors are counted as the graph"


def test_two_codes_of_four_bits_share_a_byte(files):
    def megabytes(name, operator):
        found = [part for part in route.weight_types(files[name]) if part.operator == operator]
        return found[0].dtype, found[0].megabytes

    codes = WORDS * EMBEDDING / 2 / 1e6
    embedding = "GatherBlockQuantized"
    assert megabytes("ONNX 4-bit embedding", embedding) == ("UINT4", codes)
    assert megabytes("ONNX 4-bit", embedding) == ("UINT4", codes)
    assert megabytes("ONNX 4-bit", "MatMulNBits") == ("UINT4", WORDS * HIDDEN / 2 / 1e6)
    rare, frequent = WORDS * 3 // 4 * EMBEDDING / 4 / 1e6, WORDS // 4 * EMBEDDING / 2 / 1e6
    assert megabytes("ONNX 2 to 4 bits", embedding) == ("UINT2", rare)
    assert ("UINT4", frequent) in {
        (part.dtype, part.megabytes) for part in route.weight_types(files["ONNX 2 to 4 bits"])
    }


@pytest.mark.parametrize(
    ("dtype", "expected"), [("UINT4", 5), ("INT4", 5), ("UINT2", 3), ("INT8", 9), ("FLOAT", 36)]
)
@pytest.mark.parametrize("raw", [False, True])
def test_bytes_of_a_tensor_are_those_in_the_file(dtype, expected, raw):
    kind = onnx.TensorProto.DataType.Value(dtype)
    if raw:
        tensor = onnx.helper.make_tensor("x", kind, (3, 3), bytes(expected), raw=True)
    else:
        tensor = onnx.helper.make_tensor("x", kind, (3, 3), [1] * 9)
    assert stored_bytes(tensor) == expected


def test_operators_of_onnx_runtime_are_told_from_those_of_the_standard(files):
    assert set(route.operator_domains(files["ONNX float32"])) == {"ai.onnx"}
    found = route.operator_domains(files["ONNX 4-bit"])
    assert found["com.microsoft"] == ["DynamicQuantizeLSTM", "GatherBlockQuantized", "MatMulNBits"]
    counted = route.operator_counts(files["ONNX 4-bit"])
    assert set(counted) == {operator for of_one in found.values() for operator in of_one}
