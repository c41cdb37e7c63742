"""Count the operators of an ONNX file, and tell the types that its weights are stored in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx

PACKING = ("GatherBlockQuantized", "MatMulNBits")
"""The operators whose weights may have fewer bits than the bytes that they are stored in."""


def operator_counts(file: Path | str) -> dict[str, int]:
    """Count the operators of an ONNX file, the most frequent ones first."""
    graph = onnx.load(file, load_external_data=False).graph
    return dict(Counter(node.op_type for node in graph.node).most_common())


@dataclass(frozen=True)
class StoredWeight:
    """A tensor that is stored in an ONNX file.

    Parameters
    ----------
    name
        Its name in the file.
    operator
        The type of the operator that reads it.
    dtype
        The type of its elements, as ONNX names it: ``FLOAT``, ``INT8``, ``UINT8`` and others. Where
        an operator packs several into a byte, theirs and not the byte's: ``UINT4`` or ``UINT2``.
    shape
        Its shape.
    megabytes
        Its size, in MB of a million bytes.
    """

    name: str
    operator: str
    dtype: str
    shape: tuple[int, ...]
    megabytes: float


def weight_types(file: Path | str) -> list[StoredWeight]:
    """List what an ONNX file stores, and as what, the largest tensors first.

    Parameters
    ----------
    file
        An ONNX file, its weights inside.
    """
    graph = onnx.load(file).graph
    readers = {name: node for node in reversed(graph.node) for name in node.input}
    weights = [
        StoredWeight(
            tensor.name,
            readers[tensor.name].op_type if tensor.name in readers else "",
            _element_type(tensor, readers.get(tensor.name)),
            tuple(tensor.dims),
            onnx.numpy_helper.to_array(tensor).nbytes / 1e6,
        )
        for tensor in graph.initializer
    ]
    return sorted(weights, key=lambda weight: weight.megabytes, reverse=True)


def _element_type(tensor: onnx.TensorProto, reader: onnx.NodeProto | None) -> str:
    """Name the type of a tensor's elements, which an operator may have packed into bytes."""
    dtype = str(onnx.TensorProto.DataType.Name(tensor.data_type))
    if reader is None or reader.op_type not in PACKING or dtype != "UINT8":
        return dtype
    attributes = {attribute.name: attribute.i for attribute in reader.attribute}
    return f"UINT{attributes.get('bits', 4)}"
