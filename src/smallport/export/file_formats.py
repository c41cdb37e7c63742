"""Open a program that another exporter wrote, and run it by the names that a model uses."""

from __future__ import annotations

import re
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
from smallport.parity.names import NamedTensors, first_of, name_outputs

ONNX_TYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(bfloat16)": torch.bfloat16,
    "tensor(double)": torch.float64,
    "tensor(int64)": torch.int64,
    "tensor(int32)": torch.int32,
    "tensor(bool)": torch.bool,
}

WORDS = {
    "key": "key",
    "keys": "key",
    "value": "value",
    "values": "value",
    "logits": "logits",
    "mask": "mask",
    "position": "position",
    "positions": "position",
    "ids": "ids",
    "tokens": "ids",
}
"""The words that tell the inputs and outputs of language models apart, whatever is around them."""


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
        feed = {name: tensor.numpy() for name, tensor in tensors.items()}
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
        self._module = program.module()
        signature = program.graph_signature
        self.inputs, self.outputs = (
            [_slot(str(name), values.get(str(name))) for name in names]
            for names in (signature.user_inputs, signature.user_outputs)
        )

    def run(self, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """Run it with its inputs in the structure that it was exported with."""
        flat = [tensors.get(slot.name) for slot in self.inputs]
        args, kwargs = pytree.tree_unflatten(flat, self._spec)
        with torch.no_grad():
            return [*name_outputs(self._module(*args, **kwargs)).values()]


def _slot(name: str, value: Any) -> Slot:
    if not isinstance(value, Tensor):
        return Slot(name, None, None)
    sizes = (size if isinstance(size, int) else None for size in value.shape)
    return Slot(name, value.dtype, tuple(sizes))


def open_program(file: Path) -> Program:
    """Open an ONNX file, or one of :func:`torch.export.save`, by its ending."""
    return ONNXProgram(file) if file.suffix == ".onnx" else TorchProgram(file)


def matched(slots: Sequence[Slot], tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Match the inputs or outputs of a program with a model's tensors, by name and by shape.

    Parameters
    ----------
    slots
        Those of the program.
    tensors
        Those of the model, of some call.

    Returns
    -------
    dict
        For each slot that could be matched the name of its tensor: of the same name; of a name with
        the same words and the same layer; or the only one left that fits, or, where as many slots
        fit as tensors, in their order.

    Examples
    --------
    >>> zeros = torch.zeros(1, 2, 3, 4)
    >>> tensors = {"past_key_values.0.key": zeros, "past_key_values.0.value": zeros}
    >>> slots = [Slot(name, torch.float32, None) for name in ("cache_0_values", "cache_0_keys")]
    >>> matched(slots, tensors)
    {'cache_0_values': 'past_key_values.0.value', 'cache_0_keys': 'past_key_values.0.key'}
    """
    found = {
        one.name: one.name for one in slots if one.name in tensors and one.may_be(tensors[one.name])
    }
    for slot in slots:
        alike = [
            name
            for name, tensor in tensors.items()
            if name not in found.values()
            and words_of(name) == words_of(slot.name)
            and slot.may_be(tensor)
        ]
        if slot.name not in found and len(alike) == 1:
            found[slot.name] = alike[0]
    while True:
        left = {name: one for name, one in tensors.items() if name not in found.values()}
        for slot in [one for one in slots if one.name not in found]:
            names = [name for name, tensor in left.items() if slot.may_be(tensor)]
            rivals = [
                one.name
                for one in slots
                if one.name not in found and names and one.may_be(left[names[0]])
            ]
            if names and len(names) == len(rivals):
                found |= dict(zip(rivals, names, strict=True))
                break
        else:
            return found


def words_of(name: str) -> tuple[str, ...]:
    """Take the words and the numbers of a name that matter.

    Examples
    --------
    >>> words_of("past_key_values.3.key"), words_of("present_3_keys"), words_of("input_ids")
    (('3', 'key'), ('3', 'key'), ('ids',))
    """
    name = re.sub(r"past_key_values?|present_key_values?", "", name.lower())
    parts = re.findall(r"[a-z]+|\d+", name)
    return tuple(WORDS.get(one, one) for one in parts if one.isdecimal() or one in WORDS)


def in_type(tensor: Tensor, slot: Slot) -> Tensor:
    """Give a tensor the type that a program asks for."""
    return tensor if slot.dtype in (None, tensor.dtype) else tensor.to(slot.dtype)


@dataclass(frozen=True, eq=False)
class Matched:
    """A program whose inputs and outputs are called as the model's.

    Parameters
    ----------
    program
        The program.
    inputs, outputs
        The names of the model's tensors by those of the program.
    """

    program: Program
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    def run(self, tensors: NamedTensors, like: NamedTensors) -> NamedTensors:
        """Run it on the model's tensors.

        Parameters
        ----------
        tensors
            Those of the model's inputs, by their names.
        like
            Results of the model, whose types the program's get.
        """
        given = {
            slot.name: in_type(tensors[self.inputs[slot.name]], slot)
            for slot in self.program.inputs
        }
        results = zip(self.program.outputs, self.program.run(given), strict=True)
        named = {self.outputs[slot.name]: one for slot, one in results if slot.name in self.outputs}
        return {name: one.to(like[name].dtype) for name, one in named.items()}


def match(program: Program, inputs: NamedTensors, results: NamedTensors) -> Matched:
    """Match a program with a model's inputs and results.

    Raises
    ------
    ValueError
        When an input of the program matches nothing that the model takes, or nothing that it
        returns is among the model's logits and caches. The message names them.
    """
    taken, returned = matched(program.inputs, inputs), matched(program.outputs, results)
    if unknown := [slot.name for slot in program.inputs if slot.name not in taken]:
        raise ValueError(
            f"it takes {first_of(unknown)}, which match nothing that the model takes: "
            f"{first_of([*inputs], most=6)}"
        )
    missing = [name for name in results if name not in returned.values()]
    extra = [slot.name for slot in program.outputs if slot.name not in returned]
    if "logits" in missing or (missing and len(missing) < len(results) - 1):
        raise ValueError(
            f"it returns nothing that matches {first_of(missing)} of the model"
            + (f"; it returns {first_of(extra)} besides" if extra else "")
        )
    return Matched(program, taken, returned)
