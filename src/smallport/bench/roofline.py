"""The limits of a machine, and the bytes and multiplications of an architecture.

A roofline [1]_ puts two lower bounds on a time: whatever is read has to come through the memory,
and whatever is multiplied through the arithmetic units. The greater of the two is the limit.

.. [1] S. Williams, A. Waterman, D. Patterson: Roofline: an insightful visual performance model for
   multicore architectures. Communications of the ACM 52 (2009), 65-76.
   https://doi.org/10.1145/1498765.1498785
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import torch
from torch import nn

from smallport.bench.parts import Call
from smallport.lstm import LSTMConfig
from smallport.quantize.eager import quantize_model
from smallport.quantize.onnx.session import start_session
from smallport.timing import time_interleaved

FLOAT_BYTES = 4
WEIGHT_BYTES = {"float32": 4, "int8": 1}
"""The bytes of a weight in each precision. Biases and activations stay floats in both."""


@dataclass(frozen=True)
class Work:
    """The bytes and multiplications that no implementation can avoid.

    Parameters
    ----------
    bytes
        How many have to be read or written: every weight, input and output once.
    multiplications
        How many products have to be computed, each with its addition.
    """

    bytes: int
    multiplications: int

    def __add__(self, other: Work) -> Work:
        return Work(self.bytes + other.bytes, self.multiplications + other.multiplications)

    @property
    def intensity(self) -> float:
        """Multiplications for each byte."""
        return self.multiplications / self.bytes


def weight_bytes(words: int, config: LSTMConfig, precision: str) -> int:
    """Count the bytes of what LSTM and decoder multiply by, without biases."""
    count = words * config.hidden_size + sum(
        4 * config.hidden_size * (inputs + config.hidden_size) for inputs in _layer_inputs(config)
    )
    return count * WEIGHT_BYTES[precision]


def lstm_work(config: LSTMConfig, batch: int, length: int, precision: str) -> Work:
    """Count the work of an LSTM.

    The weights are counted once a call. Those that multiply the hidden state are needed once a
    word, and are read again wherever no cache holds them. Additions, and the handful of products
    for each unit that no matrix is involved in, are left out.

    Parameters
    ----------
    config
        The sizes of the model.
    batch, length
        How many texts, and how many words of each.
    precision
        ``float32`` or ``int8``.

    Examples
    --------
    >>> lstm_work(LSTMConfig(embedding_size=2, hidden_size=3, layers=1), 1, 1, "int8")
    Work(bytes=176, multiplications=60)
    """
    hidden, rows = config.hidden_size, batch * length
    total = Work(0, 0)
    for inputs in _layer_inputs(config):
        weights = 4 * hidden * (inputs + hidden)
        biases = 2 * 4 * hidden
        activations = rows * (inputs + hidden)
        total += Work(
            weights * WEIGHT_BYTES[precision] + (biases + activations) * FLOAT_BYTES,
            rows * weights,
        )
    return total


def decoder_work(words: int, config: LSTMConfig, batch: int, length: int, precision: str) -> Work:
    """Count the work of a decoder, the scores that it writes included.

    Parameters
    ----------
    words
        Size of the vocabulary.
    config
        The model's other sizes.
    batch, length
        How many texts, and how many words of each.
    precision
        ``float32`` or ``int8``.
    """
    rows, weights = batch * length, words * config.hidden_size
    activations = rows * (config.hidden_size + words)
    return Work(
        weights * WEIGHT_BYTES[precision] + (words + activations) * FLOAT_BYTES, rows * weights
    )


def model_work(words: int, config: LSTMConfig, batch: int, length: int, precision: str) -> Work:
    """Count the work of LSTM and decoder. The embedding looks up a row a word, which is little."""
    return lstm_work(config, batch, length, precision) + decoder_work(
        words, config, batch, length, precision
    )


def _layer_inputs(config: LSTMConfig) -> list[int]:
    return [config.embedding_size, *[config.hidden_size] * (config.layers - 1)]


@dataclass(frozen=True)
class Limits:
    """The limits of a machine in one precision.

    Parameters
    ----------
    bytes_per_second
        How fast it reads.
    multiplications_per_second
        How fast it multiplies and adds.
    """

    bytes_per_second: float
    multiplications_per_second: float

    def seconds(self, work: Work) -> float:
        """Compute what some work takes at the least.

        Examples
        --------
        >>> Limits(10.0, 100.0).seconds(Work(bytes=20, multiplications=100))
        2.0
        """
        return max(
            work.bytes / self.bytes_per_second,
            work.multiplications / self.multiplications_per_second,
        )

    def rate(self, intensity: float) -> float:
        """Compute the most multiplications a second at some multiplications for each byte."""
        return min(intensity * self.bytes_per_second, self.multiplications_per_second)


def measure_limits(
    read_bytes: int, precision: str, *, width: int = 512, repeats: int = 9
) -> Limits:
    """Measure how fast this machine reads and multiplies, on PyTorch's threads.

    PyTorch and ONNX Runtime both multiply, and the best of all repeats counts: a limit is never
    exceeded.

    Parameters
    ----------
    read_bytes
        How many bytes to read again and again. A cache holds a few of them, so take as many as the
        weights of the model have.
    precision
        The type to multiply, ``float32`` or ``int8``.
    width
        The size of the square matrices.
    repeats
        How often each is timed.
    """
    array = torch.ones(read_bytes // FLOAT_BYTES)
    products = {
        "PyTorch": _product_in_pytorch(width, precision),
        "ONNX Runtime": _product_in_onnx_runtime(width, precision),
    }
    with torch.no_grad():
        timings = time_interleaved({"read": array.sum, **products}, repeats=repeats, warmup=2)
    fastest = min(timings[name].fastest for name in products)
    return Limits(array.nbytes / timings["read"].fastest, width**3 / fastest)


def _product_in_pytorch(width: int, precision: str) -> Call:
    rows = torch.rand(width, width)
    layer: nn.Module = nn.Linear(width, width, bias=False).eval()
    if precision == "int8":
        (layer,) = quantize_model(nn.Sequential(layer))
    return lambda: layer(rows)


def _product_in_onnx_runtime(width: int, precision: str) -> Call:
    operator, left, right, result = {
        "float32": ("MatMul", np.float32, np.float32, np.float32),
        "int8": ("MatMulInteger", np.uint8, np.int8, np.int32),
    }[precision]
    generator = np.random.default_rng(0)
    rows, columns = (
        generator.integers(0, 100, (width, width)).astype(dtype) for dtype in (left, right)
    )

    def declare(name: str, dtype: type) -> onnx.ValueInfoProto:
        element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return onnx.helper.make_tensor_value_info(name, element, [width, width])

    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, ["rows", "columns"], ["product"])],
        "product",
        [declare("rows", left)],
        [declare("product", result)],
        [onnx.numpy_helper.from_array(columns, "columns")],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = start_session(model.SerializeToString(), torch.get_num_threads())
    return lambda: session.run(None, {"rows": rows})
