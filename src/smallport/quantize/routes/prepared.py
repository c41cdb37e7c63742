"""The result of a route: a model that runs, its size, and the types of its stored weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from smallport.lstm import StatefulModel
from smallport.quantize.eager import state_dict_megabytes

LAYERS = {"encoder": "embedding", "rnn": "LSTM", "decoder": "decoder"}
"""The layers of a word language model, by the names of its modules."""

NAMES = {
    "qint8": "int8",
    "quint8": "uint8",
    "float": "float32",
    "f32": "float32",
    "i8": "int8",
    "u8": "uint8",
    "i4": "int4",
    "u4": "uint4",
}
"""Common names for types of PyTorch, ONNX and OpenVINO, where names differ."""


@dataclass(frozen=True)
class Prepared:
    """A model that a route made, ready to run.

    Parameters
    ----------
    model
        Reads tokens and carries a state, as the model that it was made from.
    megabytes
        The size of its stored files or state dict, in MB of a million bytes.
    stored
        The types in which most bytes of ``embedding``, ``LSTM`` and ``decoder`` are stored, as read
        from the file or the state dict.
    """

    model: StatefulModel
    megabytes: float
    stored: Mapping[str, str]


def prepared_module(model: nn.Module, runs: StatefulModel) -> Prepared:
    """Describe a PyTorch module by its state dict.

    Parameters
    ----------
    model
        The module whose state dict is stored.
    runs
        The callable that runs it: the module itself or a wrapper.
    """
    return Prepared(runs, state_dict_megabytes(model), stored_types(model.state_dict()))


def stored_types(state_dict: Mapping[str, Any]) -> dict[str, str]:
    """Find out in which types the weights of each layer are stored.

    Parameters
    ----------
    state_dict
        Of a word language model, quantized or not.

    Returns
    -------
    dict of str to str
        By layer, see :func:`smallport.quantize.routes.prepared.most_bytes`.

    Examples
    --------
    >>> stored_types({"encoder.weight": torch.zeros(3, 2), "rnn.w": torch.zeros(2).char()})
    {'embedding': 'float32', 'LSTM': 'int8'}
    """
    return most_bytes(
        (LAYERS[name.split(".")[0]], str(tensor.dtype).removeprefix("torch."), tensor.nbytes)
        for name, value in state_dict.items()
        for tensor in tensors_in(value)
    )


def most_bytes(stored: Iterable[tuple[str, str, float]]) -> dict[str, str]:
    """Name for each layer the types that most of its bytes are stored in.

    Parameters
    ----------
    stored
        Layers, types and bytes.

    Returns
    -------
    dict of str to str
        By layer, the types that hold at least a fifth of its bytes, the narrowest first.

    Examples
    --------
    >>> most_bytes([("LSTM", "qint8", 90), ("LSTM", "float32", 10)])
    {'LSTM': 'int8'}
    """
    counts: dict[str, Counter[str]] = {layer: Counter() for layer in LAYERS.values()}
    for layer, dtype, size in stored:
        counts[layer][NAMES.get(dtype, dtype)] += round(size)
    return {
        layer: " and ".join(
            sorted(name for name, size in types.items() if size >= types.total() / 5)
        )
        for layer, types in counts.items()
        if types
    }


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Go through the tensors that a value of a state dict stores, however it packs them.

    Packed weights are objects that hand out their state. Tensors of torchao have a float dtype,
    and store other types.
    """
    if isinstance(value, torch.ScriptObject):
        yield from tensors_in(value.__getstate__())
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)
    elif hasattr(value, "__tensor_flatten__"):
        names, _ = value.__tensor_flatten__()
        yield from tensors_in([getattr(value, name) for name in names])
    elif isinstance(value, Tensor):
        yield value
