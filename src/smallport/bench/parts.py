"""The word language model and its parts, in float32 and in int8, as calls that can be timed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from smallport.lstm import HiddenState, WordLanguageModel
from smallport.quantize import onnx as onnx_route
from smallport.quantize.eager import quantize_model
from smallport.quantize.onnx.session import INPUT_NAMES, OUTPUT_NAMES, start_session

PARTS = ("model", "LSTM", "decoder")
"""The parts that are timed: the whole model, its LSTM alone and its decoder alone."""

Call = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """The part, the sizes and the number of threads of a call.

    Parameters
    ----------
    part
        One of ``PARTS``.
    batch
        How many texts are read side by side.
    length
        How many words of each text are read in one call.
    threads
        How many threads may be used.
    """

    part: str
    batch: int
    length: int
    threads: int


Variant = Callable[[Setting], Call]
"""Prepares a model for a setting, and returns a function that calls it once."""


@dataclass(frozen=True)
class Variants:
    """A model in float32, and the same model in int8.

    Parameters
    ----------
    float32
        Prepares the model in float32.
    int8
        Prepares the quantized model.
    """

    float32: Variant
    int8: Variant


@dataclass(frozen=True)
class Example:
    """The inputs of each part of a model in a setting.

    Parameters
    ----------
    tokens
        Random words, of shape ``(length, batch)``.
    state
        The state of the LSTM before them.
    embedded
        Their embeddings, the input of the LSTM.
    output
        The output of the LSTM, which is the input of the decoder.
    """

    tokens: Tensor
    state: HiddenState
    embedded: Tensor
    output: Tensor


@torch.no_grad()
def make_example(model: WordLanguageModel, batch: int, length: int) -> Example:
    """Draw words from a fixed seed, and compute the inputs of each part of a model."""
    generator = torch.Generator().manual_seed(0)
    words = model.encoder.num_embeddings
    tokens = torch.randint(words, (length, batch), generator=generator)
    state = model.initial_state(batch)
    embedded = model.encoder(tokens)
    output, _ = model.rnn(embedded, state)
    return Example(tokens, state, embedded, output)


def eager_variants(model: WordLanguageModel) -> Variants:
    """Prepare a model in eager PyTorch, and quantize it dynamically.

    Parameters
    ----------
    model
        The model in float32, in evaluation mode.

    Raises
    ------
    RuntimeError
        When PyTorch has no quantized engine on this machine.
    TypeError
        When a weight is not in float32: slower floats make int8 look fast.

    Examples
    --------
    >>> from smallport import lstm
    >>> model = lstm.WordLanguageModel(50, lstm.LSTMConfig(8, 8, layers=1)).eval()
    >>> call = eager_variants(model).int8(Setting("decoder", batch=2, length=3, threads=1))
    >>> call().shape
    torch.Size([3, 2, 50])
    """
    require_float32(model)

    def variant(candidate: WordLanguageModel) -> Variant:
        def ready(setting: Setting) -> Call:
            torch.set_num_threads(setting.threads)
            example = make_example(model, setting.batch, setting.length)
            calls: dict[str, Call] = {
                "model": lambda: candidate(example.tokens, example.state),
                "LSTM": lambda: candidate.rnn(example.embedded, example.state),
                "decoder": lambda: candidate.decoder(example.output),
            }
            return torch.no_grad()(calls[setting.part])

        return ready

    return Variants(variant(model), variant(quantize_model(model)))


def require_float32(model: nn.Module) -> None:
    """Raise a TypeError where a weight of a baseline is not in float32."""
    for name, weight in model.named_parameters():
        if weight.dtype is not torch.float32:
            raise TypeError(
                f"{name} of the baseline is {str(weight.dtype).removeprefix('torch.')}. Convert "
                "the model with model.float(), since speed-ups are relative to float32."
            )


def onnx_variants(folder: Path, model: WordLanguageModel) -> Variants:
    """Export a model to ONNX in float32 and in int8, and run both in ONNX Runtime.

    Parameters
    ----------
    folder
        The folder for the files, which are read when a part is first prepared.
    model
        The model in float32, in evaluation mode.
    """
    exported, folded, int8 = (folder / f"{name}.onnx" for name in ("exported", "float32", "int8"))
    onnx_route.export_lstm(model, exported)
    onnx_route.fold_constants(exported, folded)
    onnx_route.quantize_file(folded, int8)
    exported.unlink()

    def variant(file: Path) -> Variant:
        files = cut_into_parts(file)

        @functools.cache
        def session(part: str, threads: int) -> ort.InferenceSession:
            # Otherwise the threads of the float session spin while the int8 session is timed.
            return start_session(files[part], threads, stop_spinning=True)

        def ready(setting: Setting) -> Call:
            example = make_example(model, setting.batch, setting.length)
            first = {"model": example.tokens, "LSTM": example.embedded, "decoder": example.output}
            runner = session(setting.part, setting.threads)
            inputs = [first[setting.part], *example.state]
            feed = {
                declared.name: tensor.numpy()
                for declared, tensor in zip(runner.get_inputs(), inputs, strict=False)
            }
            return lambda: runner.run(None, feed)

        return ready

    return Variants(variant(folded), variant(int8))


def cut_into_parts(file: Path) -> Mapping[str, Path]:
    """Cut the LSTM and the decoder out of an exported model, quantized or not.

    Parameters
    ----------
    file
        A file of :func:`smallport.quantize.onnx.export_lstm`, with folded constants.

    Returns
    -------
    dict of str to pathlib.Path
        The file of each of ``PARTS``. New files are written next to the model's.
    """
    nodes = onnx.load(file, load_external_data=False).graph.node
    layers = [node for node in nodes if node.op_type in {"LSTM", "DynamicQuantizeLSTM"}]
    (output,) = (
        node.output[0]
        for node in nodes
        if node.op_type == "Squeeze" and node.input[0] == layers[-1].output[0]
    )
    _, *state_in = INPUT_NAMES
    logits, *state_out = OUTPUT_NAMES
    ends: dict[str, tuple[list[Any], list[Any]]] = {
        "LSTM": ([layers[0].input[0], *state_in], [output, *state_out]),
        "decoder": ([output], [logits]),
    }
    files = {"model": file}
    for part, (inputs, outputs) in ends.items():
        files[part] = file.with_suffix(f".{part}.onnx")
        onnx.utils.extract_model(file, files[part], inputs, outputs)
    return files
