"""Compare what an exporter made of a model with the model itself."""

from __future__ import annotations

import copy
import importlib
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from smallport.tiny_llm import Inputs, make_inputs

NamedTensors = dict[str, Tensor]
"""Tensors by the names that this module gives to a model's inputs or outputs."""


class Session(Protocol):
    """What this module uses of an :class:`onnxruntime.InferenceSession`."""

    def get_inputs(self) -> Sequence[Any]:
        """List the program's inputs, each with a name."""

    def get_outputs(self) -> Sequence[Any]:
        """List the program's outputs, each with a name."""

    def run(self, output_names: None, input_feed: Mapping[str, Any]) -> Sequence[Any]:
        """Run the program; the arrays come in the order of its outputs."""


@contextmanager
def caches_unregistered() -> Iterator[None]:
    """Forget for a while which cache classes of transformers are pytree nodes.

    PyTorch keeps one registry of them for the whole process, and transformers' exporters write
    into it. Within the block no subclass of :class:`transformers.Cache` is registered, whoever ran
    before; what the block registers is gone after it, and what was there before is back.

    Examples
    --------
    >>> from torch.utils import _pytree as pytree
    >>> from transformers import DynamicCache
    >>> with caches_unregistered():
    ...     pytree.register_pytree_node(DynamicCache, lambda cache: ([], None), lambda *_: None)
    ...     registrar(DynamicCache)
    'smallport.export'
    """
    before = [_take_out(cls) for cls in _registered_caches()]
    try:
        yield
    finally:
        for cls in _registered_caches():
            _take_out(cls)
        for put_back in before:
            put_back()


def registrar(cls: type) -> str | None:
    """Name the module that made a class a pytree node; None where none did.

    Parameters
    ----------
    cls
        Any class.

    Examples
    --------
    >>> registrar(dict), registrar(int)
    ('torch.utils._pytree', None)
    """
    node = pytree.SUPPORTED_NODES.get(cls)
    return None if node is None else node.flatten_fn.__module__


def _registered_caches() -> list[type]:
    return [
        cls
        for cls in pytree.SUPPORTED_NODES
        if isinstance(cls, type) and issubclass(cls, transformers.Cache)
    ]


def _take_out(cls: type) -> Callable[[], None]:
    """Take a class out of PyTorch's registries; return what puts it back.

    PyTorch offers no public way. Beside its own tables, there is the registry of optree, where that
    package is installed, or a list of what is to be entered there once it is imported.
    """
    node = pytree.SUPPORTED_NODES.pop(cls)
    serialized = pytree.SUPPORTED_SERIALIZED_TYPES.pop(cls)
    name: str | None = serialized.serialized_type_name
    if name == pytree.NO_SERIALIZED_TYPE_NAME_FOUND:
        name = None
    elif pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE.get(serialized.serialized_type_name) is cls:
        del pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE[serialized.serialized_type_name]
    pending = pytree._cxx_pytree_pending_imports  # noqa: SLF001
    pending[:] = [entry for entry in pending if entry[0][0] is not cls]
    if pytree._cxx_pytree_imported:  # noqa: SLF001
        optree = importlib.import_module("optree")  # PyTorch does without it as well
        optree.unregister_pytree_node(cls, namespace="torch")

    def put_back() -> None:
        pytree.register_pytree_node(
            cls,
            node.flatten_fn,
            node.unflatten_fn,
            serialized_type_name=name,
            to_dumpable_context=serialized.to_dumpable_context,
            from_dumpable_context=serialized.from_dumpable_context,
            flatten_with_keys_fn=node.flatten_with_keys_fn,
        )

    return put_back


def copy_inputs(inputs: Inputs) -> Inputs:
    """Copy a model's inputs, the cache's tensors included.

    A forward pass appends to the cache that it is given, which then no longer fits the other
    inputs: every run needs a copy of its own.

    Parameters
    ----------
    inputs
        As :func:`smallport.tiny_llm.make_inputs` gives them.
    """
    return copy.deepcopy(inputs)


def name_inputs(inputs: Inputs) -> NamedTensors:
    """Name each tensor among a model's inputs.

    Parameters
    ----------
    inputs
        As :func:`smallport.tiny_llm.make_inputs` gives them.

    Returns
    -------
    dict
        In the order in which PyTorch flattens the inputs. The cache's tensors are called
        ``past_key_values.0.key``, ``past_key_values.0.value``, and so on for the other layers; a
        cache that nothing was written to yet has none.

    Examples
    --------
    >>> from smallport.tiny_llm import make_inputs, tiny_llm_config
    >>> list(name_inputs(make_inputs(tiny_llm_config())))[2:]
    ['position_ids', 'past_key_values.0.key', 'past_key_values.0.value']
    """
    named: NamedTensors = {}
    for name, value in inputs.items():
        if isinstance(value, transformers.Cache):
            named |= _name_cache(value, name)
        else:
            named[name] = value
    return named


def name_outputs(outputs: Any) -> NamedTensors:
    """Name each tensor of a causal language model's result.

    Parameters
    ----------
    outputs
        What the model, or a program exported from it, returned: ``logits``, and in
        ``past_key_values`` the cache, if it made one.

    Returns
    -------
    dict
        ``logits`` of shape ``(batch, new, vocabulary)``, then ``present.0.key``,
        ``present.0.value``, and so on, of shape ``(batch, key-value heads, cache + new, head
        size)``.
    """
    named: NamedTensors = {"logits": outputs.logits}
    if outputs.past_key_values is not None:
        named |= _name_cache(outputs.past_key_values, "present")
    return named


def _name_cache(cache: transformers.Cache, prefix: str) -> NamedTensors:
    from onnx_diagnostic.helpers.cache_helper import CacheKeyValue  # noqa: PLC0415

    pairs = CacheKeyValue(cache)  # reads the caches of every release of transformers
    named: NamedTensors = {}
    for number, (key, value) in enumerate(zip(pairs.key_cache, pairs.value_cache, strict=True)):
        named[f"{prefix}.{number}.key"] = key
        named[f"{prefix}.{number}.value"] = value
    return named


def run_session(session: Session, inputs: Inputs) -> NamedTensors:
    """Run a program in ONNX Runtime.

    Parameters
    ----------
    session
        An :class:`onnxruntime.InferenceSession` whose inputs are named as :func:`name_inputs` names
        them.
    inputs
        As :func:`smallport.tiny_llm.make_inputs` gives them; they are not changed.

    Returns
    -------
    dict
        The program's outputs by their names.

    Raises
    ------
    ValueError
        When the program wants other inputs than there are.
    """
    tensors = name_inputs(inputs)
    wanted = [value.name for value in session.get_inputs()]
    if set(wanted) != set(tensors):
        raise ValueError(
            f"run_session: the ONNX program wants {_listing(set(wanted) - set(tensors))} that the "
            f"inputs do not have, and does not want {_listing(set(tensors) - set(wanted))}; "
            "export it with input_names=list(name_inputs(inputs))"
        )
    feed = {name: tensors[name].numpy() for name in wanted}
    arrays = session.run(None, feed)
    names = [value.name for value in session.get_outputs()]
    return {name: torch.from_numpy(np.asarray(a)) for name, a in zip(names, arrays, strict=True)}


def _listing(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


@dataclass(frozen=True)
class Step:
    """The sizes of one call of a model's forward method.

    Parameters
    ----------
    batch_size
        How many texts.
    cache_length
        How many tokens of each are in the cache.
    new_tokens
        How many tokens of each are new.
    padding
        How many tokens at the beginning of the first text are padding.
    """

    batch_size: int
    cache_length: int
    new_tokens: int
    padding: int = 0

    def __str__(self) -> str:
        sizes = f"batch {self.batch_size}, {self.cache_length} + {self.new_tokens} tokens"
        return f"{sizes}, {self.padding} padded" if self.padding else sizes


@dataclass(frozen=True)
class Difference:
    """How far two results of the same call are apart.

    Parameters
    ----------
    logits
        Largest absolute difference between the logits; NaN if either holds one.
    cache
        The same for the cache tensor that differs most.
    worst
        The name of that tensor; empty where none differs.
    """

    logits: float
    cache: float
    worst: str


def compare(expected: NamedTensors, actual: NamedTensors) -> Difference:
    """Compare two results, tensor by tensor.

    Parameters
    ----------
    expected, actual
        Results as :func:`name_outputs` names them.

    Returns
    -------
    Difference
        Zero means bit-equal, up to the sign of zero.

    Raises
    ------
    ValueError
        When a tensor is missing, is there unasked, or has another shape or dtype: then there is
        nothing to subtract.

    Examples
    --------
    >>> expected = {"logits": torch.zeros(2), "present.0.key": torch.zeros(3)}
    >>> compare(expected, expected | {"present.0.key": torch.ones(3)})
    Difference(logits=0.0, cache=1.0, worst='present.0.key')
    """
    if expected.keys() != actual.keys():
        raise ValueError(
            f"compare: expected the tensors {_listing(expected)}, found {_listing(actual)}; "
            "the program was exported from another model or with other output names"
        )
    for name, tensor in expected.items():
        found = actual[name]
        if (tensor.shape, tensor.dtype) != (found.shape, found.dtype):
            raise ValueError(
                f"compare: {name} should have the shape {tuple(tensor.shape)} and hold "
                f"{tensor.dtype}, and has the shape {tuple(found.shape)} and holds {found.dtype}; "
                "a size was probably burnt into the program"
            )
    distances = {name: _distance(tensor, actual[name]) for name, tensor in expected.items()}
    logits = distances.pop("logits")
    worst = max(distances, key=lambda name: _nan_last(distances[name]), default="")
    cache = distances.get(worst, 0.0)
    return Difference(logits, cache, "" if cache == 0 else worst)


def _distance(expected: Tensor, actual: Tensor) -> float:
    """Largest absolute difference; NaN if one of the tensors holds NaN, or infinity at once."""
    if expected.numel() == 0:
        return 0.0
    return float((expected.double() - actual.double()).abs().max())


def _nan_last(distance: float) -> float:
    """Make NaN the largest of all: it compares as false with everything, so max would lose it."""
    return math.inf if math.isnan(distance) else distance


def worst_of(differences: Iterable[Difference]) -> Difference:
    """Find the largest difference of logits and the largest of a cache tensor among several steps.

    Parameters
    ----------
    differences
        At least one. NaN counts as larger than any number.

    Returns
    -------
    Difference
        Its two numbers may come from different steps.

    Raises
    ------
    ValueError
        When there are none: nothing was compared.

    Examples
    --------
    >>> worst_of([Difference(0.1, 0.0, ""), Difference(0.0, 0.2, "present.0.key")])
    Difference(logits=0.1, cache=0.2, worst='present.0.key')
    """
    differences = list(differences)
    if not differences:
        raise ValueError("worst_of: no differences, so nothing was compared; pass at least one")
    logits = max((difference.logits for difference in differences), key=_nan_last)
    cache = max(differences, key=lambda difference: _nan_last(difference.cache))
    return Difference(logits, cache.cache, cache.worst)


def compare_with_eager(
    reference: transformers.LlamaForCausalLM,
    run: Callable[[Inputs], NamedTensors],
    steps: Iterable[Step],
    *,
    seed: int = 0,
) -> dict[Step, Difference]:
    """Run a model and what was exported from it at several shapes, and compare.

    Parameters
    ----------
    reference
        The model, eager. It must not share its weights with the exported program: in two programs
        that hold the same tensor, a changed weight makes no difference.
    run
        Runs the exported program; gets a copy of the inputs and names the outputs.
    steps
        The shapes to run at.
    seed
        Of the random inputs.

    Returns
    -------
    dict
        A :class:`Difference` for each step.
    """
    differences = {}
    for step in steps:
        inputs = make_inputs(reference.config, **asdict(step), seed=seed)
        with torch.no_grad():
            expected = name_outputs(reference(**copy_inputs(inputs)))
            differences[step] = compare(expected, run(inputs))
    return differences


def differences_table(differences: Mapping[Step, Difference]) -> pd.DataFrame:
    """Put the differences of several steps into a table, a row for each.

    Parameters
    ----------
    differences
        As :func:`compare_with_eager` gives them.
    """
    return pd.DataFrame(
        [
            {
                "batch": step.batch_size,
                "tokens in the cache": step.cache_length,
                "new tokens": step.new_tokens,
                "padding": step.padding,
                "difference of logits": difference.logits,
                "difference of the cache": difference.cache,
                "worst cache tensor": difference.worst,
            }
            for step, difference in differences.items()
        ]
    )


def code_excerpt(
    program: ExportedProgram, *, first: int = 8, last: int = 4, width: int = 90
) -> str:
    """Show the beginning and the end of an exported program's code.

    What ``print`` shows names, above each operation, the file on this machine that it was traced
    from. The excerpt is the operations alone, without the statements that free memory, and with the
    weights left out of the list of arguments.

    Parameters
    ----------
    program
        What :func:`torch.export.export` returned.
    first, last
        How many operations to show from the beginning and from the end.
    width
        How many characters of an operation to show.

    Raises
    ------
    ValueError
        When one of these numbers is negative.
    """
    if min(first, last, width) < 0:
        raise ValueError(
            "code_excerpt: first, last and width are counts and cannot be negative, "
            f"and are {first}, {last} and {width}"
        )
    signature = program.graph_signature
    weights = len(signature.input_specs) - len(signature.user_inputs)
    arguments = ", ".join(str(name) for name in signature.user_inputs)
    head = f"def forward(self, ... {weights} weights and buffers ..., {arguments}):"
    code = program.graph_module.code.partition("):\n")[2]
    body = [re.sub(r"; +\w+ = .*None$", "", line) for line in code.splitlines() if line.strip()]
    if len(body) > first + last:
        hidden = f"    ... {len(body) - first - last} more operations ..."
        body = [*body[:first], hidden, *body[len(body) - last :]]
    lines = [line if len(line) <= width else f"{line[:width]} ..." for line in body]
    return "\n".join([textwrap.fill(head, width, subsequent_indent=" " * 12), *lines])
