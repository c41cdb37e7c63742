"""Record the results of each operator in a call of an exported program or of an ONNX file."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from smallport.parity.tracing import (
    Operator,
    Trace,
    arguments_to_keep,
    operator_name,
    tensors_in,
)

SCOPES, CLASSES, NODE = (
    f"pkg.torch.onnx.{name}" for name in ("name_scopes", "class_hierarchy", "fx_node")
)
"""The keys under which ``torch.onnx`` stores the origin of a node in an ONNX file."""

HALVES = (torch.float16, torch.bfloat16)


class GraphTracer(fx.Interpreter):
    """Run the graph of a program node by node; ``in_float32`` widens all half precision."""

    def __init__(self, graph: fx.GraphModule, *, in_float32: bool = False) -> None:
        super().__init__(graph)
        self.operators: list[Operator] = []
        self._in_float32 = in_float32

    def run_node(self, node: fx.Node) -> Any:
        """Run a node, and record it if it is an operator."""
        result = super().run_node(node)
        if self._in_float32:
            result = pytree.tree_map(_widened, result)
        target = str(node.target)
        outputs = tensors_in(result)
        if node.op == "call_function" and target.startswith("aten.") and outputs:
            name = operator_name(target)
            given = fx.node.map_arg((node.args, node.kwargs), lambda one: self.env[one])
            inputs = arguments_to_keep(name, given)
            kept = tuple(one.detach().clone() for one in outputs)
            self.operators.append(Operator(*_module_of(node), name, inputs, kept))
        return result

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call an operator, in float32 where it asks for half precision."""
        if self._in_float32:
            args, kwargs = pytree.tree_map(_full_type, (args, kwargs))
        return super().call_function(target, args, kwargs)


def _widened(value: Any) -> Any:
    is_half = isinstance(value, Tensor) and value.dtype in HALVES
    return value.float() if is_half else value


def _full_type(value: Any) -> Any:
    return torch.float32 if value in HALVES and isinstance(value, torch.dtype) else _widened(value)


def _module_of(node: fx.Node) -> tuple[str, int]:
    """Read from a node in which call of which module it was traced."""
    stack = node.meta.get("nn_module_stack") or {"": ("", "")}
    *_, (key, (path, _)) = stack.items()
    _, _, call = str(key).partition("@")
    return str(path), int(call or 0)


def trace_graph(graph: fx.GraphModule, inputs: Sequence[Any]) -> Trace:
    """Record the operators of an exported program, each in the module that it was traced in.

    Parameters
    ----------
    graph
        As :meth:`torch.export.ExportedProgram.module` makes it.
    inputs
        Its inputs in the order of the program.
    """
    tracer = GraphTracer(graph)
    with torch.no_grad():
        tracer.run(*inputs, enable_io_processing=False)
    return Trace(tracer.operators)


def run_in_float32(graph: fx.GraphModule, inputs: Sequence[Any]) -> list[Tensor]:
    """Run an exported program with all that it computes in half precision in float32."""
    with torch.no_grad():
        results = GraphTracer(graph, in_float32=True).run(*inputs, enable_io_processing=False)
    return [one for one in pytree.tree_leaves(results) if isinstance(one, Tensor)]


def trace_file(file: Path, feed: Mapping[str, Tensor]) -> Trace:
    """Record the results of the nodes of an ONNX file, each in the module that it came from.

    Parameters
    ----------
    file
        A file of ``torch.onnx``, whose nodes name their module; of other files, names of nodes such
        as ``/model/layers.0/mlp/Mul`` tell it.
    feed
        Its inputs by their names.
    """
    values = run_with_intermediates(file, feed)
    operators: list[Operator] = []
    graph = onnx.load(file, load_external_data=False).graph
    for (module, name, arguments), group in itertools.groupby(graph.node, _origin):
        nodes = [*group]
        read = (one for node in nodes for one in node.input)
        outputs = _found(values, nodes[-1].output)
        if outputs:
            given, reads = _found(values, arguments), _found(values, read)
            operators.append(Operator(module, 0, name, given, outputs, reads=reads))
    return Trace(operators)


def _found(values: Mapping[str, Tensor], names: Iterable[str]) -> tuple[Tensor, ...]:
    return tuple(values[name] for name in names if name in values)


def run_with_intermediates(file: Path, feed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run an ONNX file, and return every value of its graph by its name."""
    import onnxruntime  # noqa: PLC0415 - it reports its use unless smallport is imported first

    model = onnx.load(file, load_external_data=False)
    known = {one.name for one in model.graph.output}
    added = [
        name for node in model.graph.node for name in node.output if name and name not in known
    ]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in added)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(file.parent.absolute())
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    arrays = session.run(None, {name: tensor.numpy() for name, tensor in feed.items()})
    names = [one.name for one in session.get_outputs()]
    found = zip(names, arrays, strict=True)
    made = {name: torch.from_numpy(np.asarray(one)) for name, one in found if _is_array(one)}
    return {**feed, **made}


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind in "fiub"


def _origin(node: onnx.NodeProto) -> tuple[str, str, tuple[str, ...]]:
    """Read the module of a node, its operator in PyTorch and the names of its inputs there."""
    said = {one.key: one.value for one in node.metadata_props}
    if SCOPES in said and CLASSES in said:
        *modules, _ = ast.literal_eval(said[SCOPES])
        *_, operator = ast.literal_eval(said[CLASSES])
        _, _, arguments = said.get(NODE, "").partition("args = ")
        return (
            modules[-1] if modules else "",
            operator_name(operator),
            tuple(re.findall(r"%(\w+)", arguments)) or tuple(node.input),
        )
    *modules, _ = node.name.strip("/").split("/")
    return ".".join(modules), node.op_type.lower(), tuple(node.input)
