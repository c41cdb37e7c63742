"""Run an ONNX program on the inputs of the model that it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from smallport.parity.names import Inputs, NamedTensors, listed, name_inputs


class Session(Protocol):
    """The methods of an :class:`onnxruntime.InferenceSession` that are used here."""

    def get_inputs(self) -> Sequence[Any]:
        """List the program's inputs, each with a name."""

    def get_outputs(self) -> Sequence[Any]:
        """List the program's outputs, each with a name."""

    def run(self, output_names: None, input_feed: Mapping[str, Any]) -> Sequence[Any]:
        """Run the program; the arrays come in the order of its outputs."""


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
        When the program takes inputs that differ from the given ones.
    """
    tensors = name_inputs(inputs)
    wanted = [value.name for value in session.get_inputs()]
    if set(wanted) != set(tensors):
        raise ValueError(
            f"run_session: the ONNX program takes {listed(set(wanted) - set(tensors))}, which the "
            f"inputs do not have, and does not take {listed(set(tensors) - set(wanted))}; "
            "export it with input_names=list(name_inputs(inputs))"
        )
    feed = {name: tensors[name].cpu().numpy() for name in wanted}
    arrays = session.run(None, feed)
    names = [value.name for value in session.get_outputs()]
    return {name: torch.from_numpy(np.asarray(a)) for name, a in zip(names, arrays, strict=True)}
