"""Count the operators of an ONNX file, and list the types and sizes of its weights."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx

GRAPH = "graph and names"
"""The name of the part of an ONNX file that is no tensor."""

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
        Its size in the file, in MB of a million bytes.
    """

    name: str
    operator: str
    dtype: str
    shape: tuple[int, ...]
    megabytes: float


def weight_types(file: Path | str) -> list[StoredWeight]:
    """List the tensors that an ONNX file stores, with their types, the largest first.

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
            stored_bytes(tensor) / 1e6,
        )
        for tensor in graph.initializer
    ]
    return sorted(weights, key=lambda weight: weight.megabytes, reverse=True)


def file_parts(file: Path | str) -> list[StoredWeight]:
    """List all parts of an ONNX file: its tensors, and the graph with its names.

    Their sizes sum to the size of the file.

    Parameters
    ----------
    file
        An ONNX file, its weights inside.
    """
    weights = weight_types(file)
    tensors = sum(round(weight.megabytes * 1e6) for weight in weights)
    rest = (Path(file).stat().st_size - tensors) / 1e6
    return [*weights, StoredWeight(GRAPH, "", "", (), rest)]


def operator_domains(file: Path | str) -> dict[str, list[str]]:
    """List the operators of an ONNX file by the domain that defines them.

    Parameters
    ----------
    file
        An ONNX file. Only ONNX Runtime implements the domain ``com.microsoft``.

    Returns
    -------
    dict of str to list of str
        The operators by domain, sorted. The standard's own domain is called ``ai.onnx``.
    """
    graph = onnx.load(file, load_external_data=False).graph
    found: dict[str, set[str]] = {}
    for node in graph.node:
        found.setdefault(node.domain or "ai.onnx", set()).add(node.op_type)
    return {domain: sorted(operators) for domain, operators in sorted(found.items())}


def stored_bytes(tensor: onnx.TensorProto) -> int:
    """Count the bytes that a tensor's elements take in a file; of 4-bit ones, two share a byte.

    Examples
    --------
    >>> packed = onnx.helper.make_tensor("codes", onnx.TensorProto.UINT4, (3, 3), range(9))
    >>> stored_bytes(packed)
    5
    """
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    dtype = onnx.TensorProto.DataType.Name(tensor.data_type)
    bits = re.fullmatch(r"U?INT([24])", dtype)
    if bits is None:
        return int(onnx.numpy_helper.to_array(tensor).nbytes)
    elements: int = math.prod(tensor.dims)
    return -(-elements * int(bits[1]) // 8)


def _element_type(tensor: onnx.TensorProto, reader: onnx.NodeProto | None) -> str:
    """Name the type of a tensor's elements, which an operator may have packed into bytes."""
    dtype = str(onnx.TensorProto.DataType.Name(tensor.data_type))
    if reader is None or reader.op_type not in PACKING or dtype != "UINT8":
        return dtype
    attributes = {attribute.name: attribute.i for attribute in reader.attribute}
    return f"UINT{attributes.get('bits', 4)}"
