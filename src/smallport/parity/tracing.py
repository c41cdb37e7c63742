"""Record what each module and each operator of an eager model computes in one call."""

from __future__ import annotations

import inspect
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import DisableTorchFunction
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

CHANGED_LATER = ("topk", "sort", "argsort", "argmax", "max", "softmax", "attention")
"""Parts of the names of operators whose inputs are copied, since causes are looked for in them."""

SYNONYMS = {
    "_to_copy": "to",
    "_softmax": "softmax",
    "rmul": "mul",
    "radd": "add",
    "iadd": "add",
    "imul": "mul",
    "rsub": "sub",
    "rpow": "pow",
    "truediv": "div",
    "rtruediv": "div",
    "float": "to",
    "type_as": "to",
    "concat": "cat",
    "unsafe_view": "view",
    "reshape": "view",
}
"""Names of operators in Python, or of variants, and their names in an exported program."""


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator in one call of a model or a program.

    Parameters
    ----------
    module
        The path of the module that it is in; empty for the whole model.
    call
        How many calls of the module there were before.
    name
        Its name, such as ``matmul``, without overload.
    inputs
        Its arguments: tensors, numbers and others.
    outputs
        Its results.
    repeat
        Computes it on other arguments; None where only the program can.
    options
        The arguments that were given by name.
    reads
        The tensors that it reads in a file, whose steps may be other ones.
    """

    module: str
    call: int
    name: str
    inputs: tuple[Any, ...]
    outputs: tuple[Tensor, ...]
    repeat: Callable[..., Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class ModuleResult:
    """The result of one call of a module.

    Parameters
    ----------
    module
        Its path.
    call
        How many calls of it there were before.
    kind
        Its class.
    outputs
        The tensors that it returned, those of caches aside.
    inputs
        The tensors with numbers that it was given, masks, caches and weights aside.
    """

    module: str
    call: int
    kind: str
    outputs: tuple[Tensor, ...]
    inputs: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class Trace:
    """The operators of one call in their order, and the results of modules, if it has any."""

    operators: Sequence[Operator]
    modules: Sequence[ModuleResult] = ()

    def within(self, module: str) -> list[Operator]:
        """List the operators of a module, those of its parts included."""
        inside = f"{module}." if module else ""
        return [one for one in self.operators if f"{one.module}.".startswith(inside)]


def operator_name(name: str) -> str:
    """Write the name of an operator as a program's, without overload.

    Examples
    --------
    >>> operator_name("__rmul__"), operator_name("aten.mul.Tensor"), operator_name("_softmax")
    ('mul', 'mul', 'softmax')
    """
    name = name.removeprefix("aten.").partition(".")[0]
    name = name.strip("_") if name.startswith("__") else name
    return SYNONYMS.get(name, SYNONYMS.get(name.strip("_"), name.strip("_")))


def tensors_in(value: Any) -> tuple[Tensor, ...]:
    """List the tensors in tuples, lists and mappings; a cache is none of these."""
    if isinstance(value, Tensor):
        return (value,)
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | tuple | list):
        return ()
    return tuple(tensor for part in parts for tensor in tensors_in(part))


def arguments_to_keep(name: str, arguments: Any) -> tuple[Any, ...]:
    """List the arguments of an operator; those that causes are looked for in are copied."""
    leaves = pytree.tree_leaves(arguments)
    copied = any(part in name for part in CHANGED_LATER)
    return tuple(
        one.detach().clone() if copied and isinstance(one, Tensor) else one for one in leaves
    )


class _Recorder(TorchFunctionMode):
    """Record each function of PyTorch that the code of a model calls."""

    def __init__(self, place: Callable[[], tuple[str, int]]) -> None:
        super().__init__()
        self.operators: list[Operator] = []
        self._place = place

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        options = kwargs or {}
        name = operator_name(getattr(func, "__name__", str(func)))
        inputs = arguments_to_keep(name, (args, options)) if name != "get" else ()
        result = func(*args, **options)
        outputs = tensors_in(result) if name not in ("get", "setitem") else ()
        if outputs:
            kept = tuple(one.detach().clone() for one in outputs)
            self.operators.append(Operator(*self._place(), name, inputs, kept, func, dict(options)))
        return result


def trace_model(model: nn.Module, run: Callable[[], Any]) -> Trace:
    """Record the operators and the results of modules in a call of a model.

    Parameters
    ----------
    model
        The model, whose modules are named.
    run
        Calls it once.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> ones = torch.ones(1, 2)
    >>> trace = trace_model(model, lambda: model(ones))
    >>> [(one.module, one.name) for one in trace.operators]
    [('0', 'linear'), ('1', 'relu')]
    >>> [(one.module, one.kind) for one in trace.modules]
    [('0', 'Linear'), ('1', 'ReLU'), ('', 'Sequential')]
    """
    results: list[ModuleResult] = []
    with torch.no_grad(), _places(model, results) as place, _Recorder(place) as recorder:
        run()
    return Trace(recorder.operators, results)


@contextmanager
def _places(
    model: nn.Module, results: list[ModuleResult]
) -> Iterator[Callable[[], tuple[str, int]]]:
    """Follow which module is being called, and collect what modules return."""
    names = {id(module): name for name, module in model.named_modules()}
    stack: list[tuple[str, int]] = []
    weights = {one.data_ptr() for one in itertools.chain(model.parameters(), model.buffers())}

    def arguments(kind: type[nn.Module]) -> list[str]:
        return list(inspect.signature(kind.forward).parameters)[1:]

    calls: Counter[str] = Counter()

    def enter(module: nn.Module, _: Any) -> None:
        if (name := names.get(id(module))) is not None:
            stack.append((name, calls[name]))
            calls[name] += 1

    def leave(module: nn.Module, args: Any, options: Any, outputs: Any) -> None:
        if names.get(id(module)) is not None:
            name, call = stack.pop()
            named = itertools.zip_longest(arguments(type(module)), args, fillvalue="")
            given = {**dict(named), **options}
            with DisableTorchFunction():
                kept = tuple(one.detach().clone() for one in tensors_in(outputs))
                taken = tensors_in([one for key, one in given.items() if "mask" not in key])
                inputs = tuple(
                    one.detach().clone()
                    for one in taken
                    if one.is_floating_point() and one.data_ptr() not in weights
                )
            results.append(ModuleResult(name, call, type(module).__name__, kept, inputs))

    hooks = [
        register_module_forward_pre_hook(enter),
        register_module_forward_hook(leave, with_kwargs=True),
    ]
    try:
        yield lambda: stack[-1] if stack else ("", 0)
    finally:
        for hook in hooks:
            hook.remove()
