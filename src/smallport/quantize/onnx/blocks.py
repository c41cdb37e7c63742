"""Weights of an ONNX file in blocks of 4 or 2 bits, each block with a scale of its own."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from smallport.display import errors_only
from smallport.quantize.blocks import UnsuitableModelError, pack, quantize_blocks

INT8_ACTIVATIONS = 4
"""The accuracy level at which ``MatMulNBits`` rounds activations to 8 bits and adds integers up."""

CONTRIB = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""


def blocks_4bit(
    file: Path | str, target: Path | str, operator: str, *, block_size: int = 128
) -> None:
    """Store the weights of the embedding or the decoder in blocks of 4 bits.

    ONNX Runtime's own tool does it [1]_, by putting ``GatherBlockQuantized`` or ``MatMulNBits`` in
    the operator's place. The latter is asked to multiply integers; else it unpacks them to floats.

    Parameters
    ----------
    file
        An ONNX file with folded constants, see :func:`smallport.quantize.onnx.fold_constants`.
    target
        The file to write.
    operator
        ``"Gather"`` for the embedding, ``"MatMul"`` for the decoder.
    block_size
        How many weights share a scale and a zero point: a power of two, at least 16.

    Raises
    ------
    ValueError
        When the file has no such operator with weights to quantize.

    References
    ----------
    .. [1] https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    tool = nbits_tool()
    config = tool.DefaultWeightOnlyQuantConfig(
        block_size=block_size,
        is_symmetric=False,
        accuracy_level=INT8_ACTIVATIONS,
        op_types_to_quantize=(operator,),
        quant_axes=(("Gather", 1), ("MatMul", 0)),
    )
    model = onnx.load(file)
    before = sum(node.op_type == operator for node in model.graph.node)
    with errors_only("onnxruntime.quantization.matmul_nbits_quantizer"):  # a line for every node
        quantizer = tool.MatMulNBitsQuantizer(model, algo_config=config)
        quantizer.process()
    if sum(node.op_type == operator for node in quantizer.model.graph().node) == before:
        raise ValueError(
            f"blocks_4bit: {Path(file).name} has no {operator} whose weights are in the file; "
            'pass "Gather" or "MatMul", and a file with folded constants'
        )
    quantizer.model.save_model_to_file(str(target))


def nbits_tool() -> Any:
    """Import ONNX Runtime's tool for few bits, which sets up logging for the whole process.

    The logging of whoever imports it stays as it was.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        return importlib.import_module("onnxruntime.quantization.matmul_nbits_quantizer")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def embedding_by_frequency(
    file: Path | str, target: Path | str, frequent: int, *, block_size: int = 128
) -> None:
    """Store the embedding in 4 bits for frequent words, and in 2 bits for the others.

    The vocabulary must begin with the frequent words. One in the order in which words first appear
    in a long text, such as :class:`smallport.lstm.Vocabulary`, nearly does.

    Parameters
    ----------
    file
        An ONNX file with folded constants, see :func:`smallport.quantize.onnx.fold_constants`.
    target
        The file to write. Both parts of the embedding are read for each word, and the right one is
        chosen.
    frequent
        How many words have 4 bits.
    block_size
        How many weights share a scale and a zero point: a power of two, at least 16.

    Raises
    ------
    ValueError
        When the file has no embedding in floats, or ``frequent`` leaves one part empty.
    UnsuitableModelError
        When ``block_size`` does not divide the width of the embedding.
    """
    model = onnx.load(file)
    graph = model.graph
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    lookups = [
        node
        for node in graph.node
        if node.op_type == "Gather" and node.input[1] == "tokens" and node.input[0] in initializers
    ]
    if not lookups:
        raise ValueError(
            f"embedding_by_frequency: {Path(file).name} has no Gather that looks tokens up in "
            "weights of the file; pass a file from export_lstm, before it is quantized"
        )
    [lookup] = lookups
    stored = initializers[lookup.input[0]]
    weight = torch.from_numpy(numpy_helper.to_array(stored).copy())
    if not 0 < frequent < len(weight):
        raise ValueError(
            f"embedding_by_frequency: frequent must be between 1 and {len(weight) - 1}, the words "
            f"but one, not {frequent}"
        )
    if weight.shape[1] % block_size:
        raise UnsuitableModelError(
            f"embedding_by_frequency: blocks of {block_size} do not divide rows of "
            f"{weight.shape[1]} weights; pass a smaller block_size"
        )
    constants = {
        "first_rare": np.array(frequent),
        "last_frequent": np.array(frequent - 1),
        "first": np.array(0),
        "last_axis": np.array([-1]),
    }
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    nodes = [
        helper.make_node("Less", ["tokens", "first_rare"], ["is_frequent"]),
        helper.make_node("Min", ["tokens", "last_frequent"], ["frequent_row"]),
        helper.make_node("Sub", ["tokens", "first_rare"], ["beyond"]),
        helper.make_node("Max", ["beyond", "first"], ["rare_row"]),
        _lookup(graph, "frequent", weight[:frequent], 4, block_size),
        _lookup(graph, "rare", weight[frequent:], 2, block_size),
        helper.make_node("Unsqueeze", ["is_frequent", "last_axis"], ["chosen"]),
        helper.make_node("Where", ["chosen", "frequent_vector", "rare_vector"], lookup.output),
    ]
    place = list(graph.node).index(lookup)
    graph.node.remove(lookup)
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)
    graph.initializer.remove(stored)
    if CONTRIB not in {used.domain for used in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
    onnx.save(model, target)


def _lookup(
    graph: onnx.GraphProto, name: str, weight: Tensor, bits: int, block_size: int
) -> onnx.NodeProto:
    """Add a part of an embedding to a graph, and make the operator that reads rows of it."""
    blocks = quantize_blocks(weight, bits, block_size=block_size, symmetric=False)
    rows = len(weight)
    parts = {
        "codes": pack(blocks.codes.flatten(), bits).view(rows, -1),
        "scales": blocks.scales.view(rows, -1),
        "zero_points": _pack_rows(blocks.zero_points.view(rows, -1), bits),
    }
    graph.initializer.extend(
        numpy_helper.from_array(part.numpy(), f"{name}_{part_name}")
        for part_name, part in parts.items()
    )
    return helper.make_node(
        "GatherBlockQuantized",
        [f"{name}_codes", f"{name}_row", f"{name}_scales", f"{name}_zero_points"],
        [f"{name}_vector"],
        domain=CONTRIB,
        bits=bits,
        block_size=block_size,
        gather_axis=0,
        quantize_axis=1,
    )


def _pack_rows(codes: Tensor, bits: int) -> Tensor:
    """Pack each row by itself, its last byte filled up with zeros."""
    padded = torch.nn.functional.pad(codes, (0, -codes.shape[1] % (8 // bits)))
    return pack(padded.flatten(), bits).view(len(codes), -1)
