"""Run an exported language model in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
import torch
from torch import Tensor

from smallport.lstm import HiddenState, token_losses

INPUT_NAMES = ("tokens", "hidden", "cell")
"""The names of an exported language model's inputs."""

OUTPUT_NAMES = ("logits", "hidden_out", "cell_out")
"""The names of an exported language model's outputs."""

SCORER_INPUTS = ("tokens", "targets", "hidden", "cell")
"""The names of the inputs of an exported language model with its loss inside."""

SCORER_OUTPUTS = ("losses", "hidden_out", "cell_out")
"""The names of the outputs of an exported language model with its loss inside."""


class ONNXLanguageModel:
    """Run an exported language model as if it were the model it came from.

    It is called like :class:`smallport.lstm.WordLanguageModel`, so that
    :func:`smallport.lstm.losses` and :func:`smallport.lstm.generate` take it.

    Parameters
    ----------
    file
        A file of :func:`smallport.quantize.onnx.export_lstm` or
        :func:`smallport.quantize.onnx.quantize_file`.
    scorer
        The same model with the loss inside, from :func:`smallport.quantize.onnx.export_scorer`.
        Losses are computed by it, and from logits where it is left out.
    threads
        How many threads an operator may use; left out, ONNX Runtime chooses.

    Raises
    ------
    ValueError
        When a file's inputs and outputs are others than the exports give.
    """

    def __init__(
        self, file: Path | str, *, scorer: Path | str | None = None, threads: int | None = None
    ) -> None:
        self.session = open_session(file, INPUT_NAMES + OUTPUT_NAMES, "export_lstm", threads)
        self.scorer = (
            open_session(scorer, SCORER_INPUTS + SCORER_OUTPUTS, "export_scorer", threads)
            if scorer
            else None
        )
        self.layers, _, self.hidden_size = self.session.get_inputs()[1].shape

    def __call__(self, tokens: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """Score every word as the successor of each token, as the model's forward method does."""
        return run(self.session, INPUT_NAMES, (tokens, *state))

    def score(
        self, tokens: Tensor, targets: Tensor, state: HiddenState
    ) -> tuple[Tensor, HiddenState]:
        """Compute the loss of each target, of shape ``(tokens,)``, and the state after them."""
        if self.scorer is None:
            logits, state = self(tokens, state)
            return token_losses(logits, targets), state
        losses, state = run(self.scorer, SCORER_INPUTS, (tokens, targets, *state))
        return losses.flatten(), state

    def eval(self) -> ONNXLanguageModel:
        """Do nothing: an exported model has left training behind."""
        return self

    def initial_state(self, batch_size: int) -> HiddenState:
        """Make the all-zero state that a text begins with."""
        shape = (self.layers, batch_size, self.hidden_size)
        return torch.zeros(shape), torch.zeros(shape)


def start_session(
    model: Path | str | bytes, threads: int | None, *, stop_spinning: bool = False
) -> ort.InferenceSession:
    """Load a file or a serialized model onto the processor; ONNX Runtime may choose the threads.

    Threads of a session spin for a while after a call, and take cores from whatever runs next.
    With ``stop_spinning`` they stop when the call returns.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    if stop_spinning:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def open_session(
    file: Path | str, names: tuple[str, ...], export: str, threads: int | None
) -> ort.InferenceSession:
    """Load an ONNX file, and check that it has the inputs and outputs that are expected."""
    session = start_session(file, threads)
    found = tuple(value.name for value in (*session.get_inputs(), *session.get_outputs()))
    if found != names:
        raise ValueError(
            f"{Path(file).name} has the inputs and outputs {', '.join(found)}, and not "
            f"{', '.join(names)}; write it with {export}"
        )
    return session


def run(
    session: ort.InferenceSession, names: tuple[str, ...], tensors: tuple[Tensor, ...]
) -> tuple[Tensor, HiddenState]:
    """Run a session on tensors, and take its outputs as a tensor and a state."""
    arrays = [tensor.detach().numpy() for tensor in tensors]
    outputs = session.run(None, dict(zip(names, arrays, strict=True)))
    first, hidden, cell = (torch.from_numpy(array) for array in outputs)
    return first, (hidden, cell)
