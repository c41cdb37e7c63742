"""Require that an ONNX file has the integers of a float file, and ONNX Runtime multiplies them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor

from smallport.files import scratch_folder
from smallport.quantize.codes import LARGE, quantize_activation, require_codes, require_near
from smallport.quantize.onnx.contents import operator_counts

IN_FLOATS = ("Gemm", "GRU", "LSTM", "MatMul")
"""Operators that multiply floats."""


def require_integer_file(float32: Path | str, int8: Path | str) -> None:
    """Require that a file has the weights of another as integers, and computes with these.

    Parameters
    ----------
    float32
        A file with folded constants; see :func:`smallport.quantize.onnx.fold_constants`.
    int8
        What :func:`smallport.quantize.onnx.quantize_file` made of it.

    Raises
    ------
    AssertionError
        When a matrix is still in floats or its integers are not those of the weight; when ONNX
        Runtime, after its optimizations, multiplies floats; or when the file does not compute the
        products of integers that are computed here by hand.
    """
    weights, quantized = _tensors(float32), _tensors(int8)
    for name, weight in weights.items():
        if weight.is_floating_point() and weight.dim() > 1 and weight.numel() >= LARGE:
            if f"{name}_quantized" not in quantized:
                raise AssertionError(f"{Path(int8).name}: {name} is not quantized")
            codes = quantized[f"{name}_quantized"]
            if codes.shape != weight.shape:  # the LSTM's weights are transposed
                weight = weight.transpose(-1, -2)  # noqa: PLW2901
            zero = quantized[f"{name}_zero_point"].double()
            require_codes(name, weight, codes, quantized[f"{name}_scale"].double(), zero)
    folder = scratch_folder()
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3  # the file is for this machine only, says a warning
    ort.InferenceSession(int8, options, providers=["CPUExecutionProvider"])
    optimized = operator_counts(folder / "optimized.onnx")
    if in_floats := sorted(set(IN_FLOATS) & set(optimized)):
        raise AssertionError(
            f"{Path(int8).name}: ONNX Runtime multiplies floats, in {', '.join(in_floats)}"
        )
    for node in onnx.load(int8).graph.node:
        if node.op_type == "MatMulInteger":
            _require_product(Path(int8), node, quantized)


def _tensors(file: Path | str) -> dict[str, Tensor]:
    """Read the tensors that a file stores, by their names."""
    stored = onnx.load(file).graph.initializer
    return {
        each.name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(each))) for each in stored
    }


def _require_product(file: Path, node: onnx.NodeProto, weights: dict[str, Tensor]) -> None:
    """Compute a product of the file by hand, on what the file itself passes to it."""
    model = onnx.load(file)
    producers = {name: each for each in model.graph.node for name in each.output}
    activation = producers[node.input[0]].input[0]
    # The product in floats is scaled after a cast: MatMulInteger, Cast, Mul.
    (cast,) = (each for each in model.graph.node if node.output[0] in each.input)
    (scaled,) = (each for each in model.graph.node if cast.output[0] in each.input)
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in (activation, scaled.output[0])
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    *_, values, found = session.run(None, _random_inputs(session))
    inputs = torch.from_numpy(values).flatten(0, -2)
    name = node.input[1].removesuffix("_quantized")
    codes = weights[node.input[1]].double() - weights[node.input[3]].double()
    scale = weights[f"{name}_scale"].double()
    step, rounded = quantize_activation(inputs, 255)
    by_hand = step * (rounded @ codes) * scale
    in_floats = inputs.double() @ (codes * scale)
    require_near(name, torch.from_numpy(found).flatten(0, -2).double(), [by_hand], in_floats)


def _random_inputs(session: ort.InferenceSession) -> dict[str, np.ndarray]:
    """Draw inputs for a language model: eight tokens of one text, and an empty state."""
    generator = np.random.default_rng(0)
    inputs = {}
    for value in session.get_inputs():
        sizes = [size if isinstance(size, int) else 1 for size in value.shape]
        if "int" in value.type:
            inputs[value.name] = generator.integers(0, 100, (8, *sizes[1:]))
        else:
            inputs[value.name] = np.zeros(sizes, np.float32)
    return inputs
