"""Tests of :mod:`smallport.export.program_traces`."""

import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from smallport.export.program_traces import run_in_float32, trace_file, trace_graph

ONES = torch.ones(2, 4)


class Halved(nn.Module):
    """Compute in half precision in between."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, hidden):
        """Round, and call a module twice."""
        rounded = (hidden / 3).to(torch.bfloat16).to(torch.float32)
        return self.inner(self.inner(rounded))


def exported():
    model = Halved().eval()
    return model, torch.export.export(model, (ONES,)).module()


def test_operators_of_a_program_are_in_the_module_and_the_call_that_they_come_from():
    _, graph = exported()
    trace = trace_graph(graph, [ONES])
    assert [(one.module, one.call, one.name) for one in trace.operators] == [
        ("", 0, "div"),
        ("", 0, "to"),
        ("", 0, "to"),
        ("inner", 0, "linear"),
        ("inner", 1, "linear"),
    ]
    assert [one.name for one in trace.within("inner")] == ["linear", "linear"]


def test_a_program_runs_without_the_half_precision_that_it_asks_for():
    model, graph = exported()
    with torch.no_grad():
        in_full = model.inner(model.inner(ONES / 3))
        assert not torch.equal(graph(ONES), in_full)
    assert torch.equal(run_in_float32(graph, [ONES])[0], in_full)


def onnx_file(folder, names):
    """Write a file that negates and doubles, whose nodes have these names and no origin."""
    nodes = [
        helper.make_node("Neg", ["x"], ["y"], name=names[0]),
        helper.make_node("Add", ["y", "y"], ["z"], name=names[1]),
    ]
    values = [helper.make_tensor_value_info(one, TensorProto.FLOAT, [2, 4]) for one in "xz"]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def test_names_of_nodes_tell_the_module_in_files_of_other_tools(tmp_path):
    file = onnx_file(tmp_path, ["/model/layers.0/mlp/Neg", "/model/Add"])
    trace = trace_file(file, {"x": ONES})
    assert [(one.module, one.name) for one in trace.operators] == [
        ("model.layers.0.mlp", "neg"),
        ("model", "add"),
    ]
    assert torch.equal(trace.operators[0].outputs[0], -ONES)
    assert torch.equal(trace.operators[1].outputs[0], -2 * ONES)


def test_a_file_without_names_has_no_modules(tmp_path):
    trace = trace_file(onnx_file(tmp_path, ["", ""]), {"x": ONES})
    assert [one.module for one in trace.operators] == ["", ""]
