"""Open a program that another exporter wrote, and run it by the names that a model uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import transformers
from torch import Tensor
from torch.utils import _pytree as pytree
from transformers.exporters.exporter_dynamo import register_pytree_node

from smallport.export.exporters import open_session
from smallport.parity.names import name_outputs

ONNX_TYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(bfloat16)": torch.bfloat16,
    "tensor(double)": torch.float64,
    "tensor(int64)": torch.int64,
    "tensor(int32)": torch.int32,
    "tensor(bool)": torch.bool,
}


@dataclass(frozen=True)
class Slot:
    """An input or an output of a program.

    Parameters
    ----------
    name
        Its name in the program.
    dtype
        Its type; None where the file does not say.
    sizes
        Its sizes; None for those that may change. None for the whole where the file does not say.
    """

    name: str
    dtype: torch.dtype | None
    sizes: tuple[int | None, ...] | None

    def may_be(self, tensor: Tensor) -> bool:
        """Say whether a tensor fits, apart from its width in bits.

        Examples
        --------
        >>> Slot("ids", torch.int32, (None, 8)).may_be(torch.zeros(2, 8, dtype=torch.int64))
        True
        """
        if self.dtype and self.dtype.is_floating_point != tensor.is_floating_point():
            return False
        if self.sizes is None:
            return True
        sizes = zip(self.sizes, tensor.shape, strict=False)
        return len(self.sizes) == tensor.dim() and all(one in (None, size) for one, size in sizes)


class Program(Protocol):
    """A program that was read from a file."""

    @property
    def inputs(self) -> Sequence[Slot]:
        """Its inputs."""

    @property
    def outputs(self) -> Sequence[Slot]:
        """Its outputs."""

    def run(self, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """Run it on tensors by the names of its inputs; the results are in the outputs' order."""


class ONNXProgram:
    """A program in an ONNX file."""

    def __init__(self, file: Path) -> None:
        self._session: Any = open_session(file)
        self.inputs, self.outputs = (
            [
                Slot(
                    one.name,
                    ONNX_TYPES.get(one.type),
                    tuple(size if isinstance(size, int) else None for size in one.shape),
                )
                for one in values
            ]
            for values in (self._session.get_inputs(), self._session.get_outputs())
        )

    def run(self, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """Run it in ONNX Runtime, on the processor."""
        feed = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
        return [torch.from_numpy(np.asarray(one)) for one in self._session.run(None, feed)]


class TorchProgram:
    """A program that :func:`torch.export.save` wrote."""

    def __init__(self, file: Path) -> None:
        register_pytree_node(transformers.DynamicCache)
        program = torch.export.load(file)
        values = {
            node.name: node.meta.get("val")
            for node in program.graph.nodes
            if node.op in ("placeholder", "call_function")
        }
        self._spec = program.call_spec.in_spec
        self.module = program.module()
        self._device = next((one.device for one in program.state_dict.values()), None)
        signature = program.graph_signature
        self.inputs, self.outputs = (
            [_slot(str(name), values.get(str(name))) for name in names]
            for names in (signature.user_inputs, signature.user_outputs)
        )

    def run(self, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """Run it with its inputs in the structure that it was exported with."""
        given = {name: one.to(self._device) for name, one in tensors.items()}
        flat = [given.get(slot.name) for slot in self.inputs]
        args, kwargs = pytree.tree_unflatten(flat, self._spec)
        with torch.no_grad():
            return [*name_outputs(self.module(*args, **kwargs)).values()]


def _slot(name: str, value: Any) -> Slot:
    if not isinstance(value, Tensor):
        return Slot(name, None, None)
    sizes = (size if isinstance(size, int) else None for size in value.shape)
    return Slot(name, value.dtype, tuple(sizes))


def open_program(file: Path) -> Program:
    """Open an ONNX file, or one of :func:`torch.export.save`, by its ending."""
    return ONNXProgram(file) if file.suffix == ".onnx" else TorchProgram(file)
