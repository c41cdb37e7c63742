"""Name the tensors of inputs and outputs, wherever in a structure they are."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import Tensor

Inputs = dict[str, Any]
"""Arguments of a forward method by name: tensors, and a cache under any name."""

NamedTensors = dict[str, Tensor]
"""The tensors among inputs or outputs, each under its own name."""

CACHE = "past_key_values"
"""The name of the cache here, under any name of the model's argument."""

TOKEN_AXES = {"logits": 1, "key": 2, "value": 2}
"""Along which axis a tensor has a place for each token, by the last part of its name."""

TokenAxes = Mapping[str, int]
"""Such axes by the name of the tensor, or by the last part of it."""

CACHE_PARTS = {"keys": "key", "values": "value"}
"""The names of a cache layer's parts in ONNX files of language models."""


def token_axis(name: str, axes: TokenAxes) -> int | None:
    """Look up along which axis a tensor has a place for each token; None where it has none.

    Examples
    --------
    >>> token_axis("present.0.key", TOKEN_AXES), token_axis("pooler_output", TOKEN_AXES)
    (2, None)
    """
    return axes.get(name, axes.get(name.rpartition(".")[2]))


def name_tensors(value: Any, name: str = "") -> NamedTensors:
    """Name every tensor in a structure by its place.

    Parameters
    ----------
    value
        A tensor; a mapping, a list or a tuple of structures; a cache of transformers; or an object
        that keeps tensors in its attributes, as the states of recurrent models do. Anything else
        holds no tensor.
    name
        The name of the structure itself, which those of its parts begin with.

    Returns
    -------
    dict
        In the order in which the structure keeps them. The tensors of a cache are called
        ``0.key``, ``0.value``, and so on for the other layers.

    Raises
    ------
    ValueError
        When two tensors would get the same name.

    Examples
    --------
    >>> pair = (torch.zeros(1), torch.zeros(2))
    >>> list(name_tensors({"logits": torch.zeros(3), "state": [pair, None]}))
    ['logits', 'state.0.0', 'state.0.1']
    """
    named: NamedTensors = {}
    for place, tensor in _leaves(value, name, frozenset()):
        if place in named:
            raise ValueError(f"name_tensors: two tensors are called {place!r}; rename one of them")
        named[place] = tensor
    return named


def _leaves(value: Any, name: str, above: frozenset[int]) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif id(value) not in above:  # an object may refer back to one that holds it
        for part, inner in _parts(value):
            place = f"{name}.{part}" if name else str(part)
            yield from _leaves(inner, place, above | {id(value)})


def _parts(value: Any) -> Iterable[tuple[Any, Any]]:
    """List the parts of a structure, each with what it is called there."""
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list | tuple):
        return enumerate(value)
    if isinstance(value, type | torch.nn.Module):
        return ()
    attributes = _attributes(value)
    if isinstance(value, transformers.Cache):
        layers = enumerate(attributes.pop("layers", []))
        return itertools.chain(layers, attributes.items())
    return ((CACHE_PARTS.get(part, part), inner) for part, inner in attributes.items())


def _attributes(value: Any) -> dict[str, Any]:
    """Collect what an object keeps under its own names, with or without a ``__dict__``."""
    slots = [slot for cls in type(value).__mro__ for slot in vars(cls).get("__slots__", ())]
    kept = {slot: getattr(value, slot) for slot in slots if hasattr(value, slot)}
    return kept | getattr(value, "__dict__", {})


def name_inputs(inputs: Inputs) -> NamedTensors:
    """Name each tensor among a model's inputs.

    Parameters
    ----------
    inputs
        As :func:`smallport.tiny_llm.make_inputs` gives them.

    Returns
    -------
    dict
        In the order in which PyTorch flattens the inputs. The tensors of the cache, whatever the
        argument is called, are ``past_key_values.0.key``, ``past_key_values.0.value``, and so on
        for the other layers; a cache that nothing was written to yet has none.

    Examples
    --------
    >>> from smallport.tiny_llm import make_inputs, tiny_llm_config
    >>> list(name_inputs(make_inputs(tiny_llm_config())))[2:]
    ['position_ids', 'past_key_values.0.key', 'past_key_values.0.value']
    """
    return name_tensors(_name_cache(inputs))


def name_outputs(outputs: Any) -> NamedTensors:
    """Name each tensor of a model's result.

    Parameters
    ----------
    outputs
        The result of the model, or of a program exported from it. Tensors that have names already
        keep them.

    Returns
    -------
    dict
        As :func:`smallport.parity.name_tensors` names them, with ``present`` for the cache, under
        any name of the argument: in an ONNX file, no output may be called like an input. For a
        causal language model, ``logits`` of shape ``(batch, new, vocabulary)``, then
        ``present.0.key``, ``present.0.value``, and so on, of shape ``(batch, key-value heads, cache
        + new, head size)``.
    """
    return {
        "present" + name.removeprefix(CACHE) if name.partition(".")[0] == CACHE else name: tensor
        for name, tensor in name_tensors(_name_cache(outputs)).items()
    }


@functools.cache
def cache_argument() -> str:
    """Name the argument by which models of the installed transformers take their cache.

    Since transformers 5.24.0 it is ``cache``, and ``past_key_values`` before. The release is not
    looked up: it is the argument that ``generate`` has annotated as a :class:`transformers.Cache`.

    Raises
    ------
    LookupError
        When there is no such argument.

    Examples
    --------
    >>> cache_argument() in {"cache", "past_key_values"}
    True
    """
    signature = inspect.signature(transformers.GenerationMixin.prepare_inputs_for_generation)
    for name, parameter in signature.parameters.items():
        if "Cache" in str(parameter.annotation):
            return name
    raise LookupError(
        f"transformers {transformers.__version__} has no argument for a cache in "
        "GenerationMixin.prepare_inputs_for_generation; install a release that was tested"
    )


def find_cache(values: Any) -> str:
    """Name the cache among arguments or outputs, by its type; empty where there is none."""
    if not isinstance(values, Mapping):
        return ""
    for name, value in values.items():
        if isinstance(value, transformers.Cache):
            return str(name)
    return (
        CACHE if CACHE in list(values) else ""
    )  # outputs of 5.24 warn when asked for the old name


def _name_cache(values: Any) -> Any:
    """Call the cache ``past_key_values``, as releases of transformers before 5.24 do."""
    cache = find_cache(values)
    if not cache or CACHE in list(values):  # outputs of 5.24 say of the old name that it is in them
        return values
    return {CACHE if name == cache else name: one for name, one in values.items()}


def on_cpu(tensors: NamedTensors) -> NamedTensors:
    """Bring tensors to the processor, where results of several devices are compared.

    Not every device computes in float64. Tensors that are there already are not copied.
    """
    return {name: one.cpu() for name, one in tensors.items()}


def first_of(names: Sequence[str], most: int = 3, *, more: str = "more") -> str:
    """Write the first of some names into a message, and how many there are more."""
    others = f" and {len(names) - most} {more}" if len(names) > most else ""
    return ", ".join(names[:most]) + others


def listed(names: Iterable[str]) -> str:
    """Write names into a message."""
    return ", ".join(sorted(names)) or "nothing"
