"""Export a causal language model, and open the exported file."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import nn
from torch.export import ExportedProgram
from transformers.exporters.configs import DynamoConfig, OnnxConfig
from transformers.exporters.exporter_dynamo import DynamoExporter, register_pytree_node
from transformers.exporters.exporter_onnx import OnnxExporter

from smallport.display import errors_only
from smallport.export.registry import without_cache_pytrees
from smallport.export.under_test import ModelUnderTest
from smallport.parity.inputs import copy_inputs
from smallport.parity.names import Inputs, name_inputs
from smallport.parity.session import Session


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Confine the output, the logs and the registrations of exporters to a block.

    Warnings are left out whatever they are about: which ones come differs between architectures and
    releases, and whether what was exported is right is found out by running it.
    """
    with ExitStack() as stack:
        stack.enter_context(
            errors_only("transformers", "torch.onnx", "torch.export", "torch._export", "torch.fx")
        )
        stack.enter_context(redirect_stdout(StringIO()))
        stack.enter_context(redirect_stderr(StringIO()))
        stack.enter_context(catch_warnings())
        simplefilter("ignore")
        stack.enter_context(without_cache_pytrees())
        yield


def export_program(
    model: nn.Module, under_test: ModelUnderTest, example: Inputs, *, fixed: bool = False
) -> ExportedProgram:
    """Export a model with every axis dynamic that changes from one call to the next, or none.

    A model of transformers is exported by transformers' own exporter, any other module by
    :func:`torch.export.export`. The program shares the weights of ``model``, so ``under_test``
    should be made of a copy.
    """
    shapes = None if fixed else under_test.dynamic_shapes(example)
    if isinstance(model, transformers.PreTrainedModel):
        configuration = DynamoConfig(dynamic=not fixed, dynamic_shapes=shapes)
        inputs = copy_inputs(example) | under_test.flags
        exporter = DynamoExporter()  # type: ignore[no-untyped-call]
        program: ExportedProgram = exporter.export(model, inputs, configuration).program
        return program
    register_pytree_node(transformers.DynamicCache)
    if under_test.flags or "input_ids" not in inspect.signature(model.forward).parameters:
        model = _with_arguments(model, list(example), under_test.flags)
    with torch.no_grad():
        return torch.export.export(model, (), copy_inputs(example), dynamic_shapes=shapes)


def _with_arguments(model: nn.Module, names: list[str], flags: dict[str, Any]) -> nn.Module:
    """Have a model called with flags, and by a signature that PyTorch can assign shapes by."""

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, **arguments: Any) -> Any:
            return self.model(**arguments, **flags)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in ("self", *names)]
    Named.forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return Named().train(mode=model.training)


def export_onnx(
    model: nn.Module,
    program: ExportedProgram | None,
    under_test: ModelUnderTest,
    example: Inputs,
    *,
    fixed: bool = False,
) -> Any:
    """Translate a model to ONNX, with inputs and outputs named as for the model itself.

    A model of transformers is translated by transformers' own exporter, which changes what ONNX has
    no words for before it traces, and needs no program; of any other module, the program is.
    """
    inputs, outputs = list(name_inputs(example)), list(under_test.run(example))
    if isinstance(model, transformers.PreTrainedModel):
        shapes = None if fixed else under_test.dynamic_shapes(example)
        configuration = OnnxConfig(dynamic=not fixed, dynamic_shapes=shapes)
        kwargs = copy_inputs(example) | under_test.flags
        exporter = OnnxExporter()  # type: ignore[no-untyped-call]
        translated = exporter.export(model, kwargs, configuration).program
    else:
        assert program is not None
        onnx_program = torch.onnx.export(program, dynamo=True, verbose=False)
        if onnx_program is None:
            raise TypeError("torch.onnx.export returned nothing")
        translated = onnx_program.model
    for values, names in ((translated.graph.inputs, inputs), (translated.graph.outputs, outputs)):
        for value, name in zip(values, names, strict=True):
            value.name = name
    return translated


def save_onnx(translated: Any, file: Path) -> None:
    """Write a translated model, with its weights in a second file; it holds none afterwards."""
    OnnxExporter.save_program(translated, file)
    for value in translated.graph.initializers.values():
        value.const_value = None


def open_session(file: Path) -> Session:
    """Open an ONNX file in ONNX Runtime, on the processor."""
    import onnxruntime  # noqa: PLC0415 - it reports its use unless smallport is imported first

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it would write past Python what it raises, too
    session: Session = onnxruntime.InferenceSession(
        file, options, providers=["CPUExecutionProvider"]
    )
    return session
