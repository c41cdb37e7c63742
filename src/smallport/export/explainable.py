"""Run again, record and export again what a check compared last, to explain a difference."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram

from smallport.export import exporters as programs
from smallport.export.program_traces import run_in_float32, trace_file, trace_graph
from smallport.export.under_test import ModelUnderTest
from smallport.export.why_case import Untested
from smallport.parity.inputs import InputShape
from smallport.parity.names import Inputs, NamedTensors, name_inputs, name_outputs
from smallport.parity.session import Session, run_session
from smallport.parity.tracing import Trace


class Explainable:
    """A check that can run its program again: the exported one, or then the ONNX file.

    Where it cannot, ``unsearched`` says why.
    """

    under_test: ModelUnderTest
    program: ExportedProgram
    unsearched: str = ""
    _file: Path

    def shapes(self) -> list[InputShape]:
        """List the shapes that are compared."""
        raise NotImplementedError

    @functools.cached_property
    def _module(self) -> fx.GraphModule:
        module: fx.GraphModule = self.program.module()
        return module

    @functools.cached_property
    def _session(self) -> Session:
        return programs.open_session(self._file)

    @property
    def _is_program(self) -> bool:
        """Whether there is no ONNX file yet."""
        return "program" in self.__dict__

    def run_last(self, inputs: Inputs) -> Any:
        """Run what was compared last."""
        if not self._is_program:
            return run_session(self._session, inputs)
        with torch.no_grad():
            return self._module(**inputs)

    def trace_last(self, inputs: Inputs) -> Trace:
        """Record what each operator of it computes."""
        if not self._is_program:
            return trace_file(self._file, name_inputs(inputs))
        return trace_graph(self._module, [*name_inputs(inputs).values()])

    def export_again(self, inputs: Inputs) -> Callable[[Inputs], Any]:
        """Export a copy of the model for exactly the sizes of some inputs."""
        model = copy.deepcopy(self.under_test.model)
        assert isinstance(model, nn.Module)
        program = programs.export_program(model, self.under_test, inputs, fixed=True)
        if self._is_program:
            module = program.module()
            return lambda given: module(**given)
        file = self._file.with_name("fixed.onnx")
        translated = programs.export_onnx(model, program, self.under_test, inputs, fixed=True)
        programs.save_onnx(translated, file)
        return functools.partial(run_session, programs.open_session(file))

    def run_in_float32(self, inputs: Inputs) -> NamedTensors:
        """Run the program with all that it computes in half precision in float32."""
        if not self._is_program:
            raise Untested
        names = list(name_outputs(self.run_last(copy.deepcopy(inputs))))
        results = run_in_float32(self._module, [*name_inputs(inputs).values()])
        return dict(zip(names, results, strict=True))
