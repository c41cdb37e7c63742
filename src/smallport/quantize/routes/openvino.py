"""Routes through OpenVINO, with nncf to compress the weights."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smallport.lstm import HiddenState, WordLanguageModel
from smallport.quantize import onnx as route
from smallport.quantize.onnx.session import INPUT_NAMES, SCORER_INPUTS
from smallport.quantize.routes.onnx_files import folded
from smallport.quantize.routes.prepared import Prepared, most_bytes

ONE_THREAD = {
    "INFERENCE_NUM_THREADS": 1,
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
}
"""One thread, as the other routes have, and no rounding to bfloat16 where the processor has it."""

Compress = Callable[[Any], Any]


def without_telemetry(package: str) -> Any:
    """Import OpenVINO or nncf without their telemetry.

    Both send telemetry to their maker if a package for it is installed. Without it, they send
    nothing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module(package)


def float32(model: WordLanguageModel, folder: Path) -> Prepared:
    """Run the model in OpenVINO, in floats."""
    return prepare(model, folder, "openvino", lambda program: program)


def int8(model: WordLanguageModel, folder: Path) -> Prepared:
    """Compress weights to 8 bits."""
    return prepare(model, folder, "openvino_8", lambda program: compressed(program, "INT8_SYM"))


def int4(model: WordLanguageModel, folder: Path) -> Prepared:
    """Compress weights to 4 bits, in blocks of 128."""
    blocks = {"group_size": 128, "all_layers": True}
    return prepare(
        model, folder, "openvino_4", lambda program: compressed(program, "INT4_ASYM", **blocks)
    )


def compressed(program: Any, mode: str, **options: Any) -> Any:
    """Compress the weights of a converted model, without the tables and bars that nncf prints."""
    nncf = without_telemetry("nncf")
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        return nncf.compress_weights(program, mode=nncf.CompressWeightsMode[mode], **options)


class OpenVINOLanguageModel:
    """Run a compiled model as if it were the model it came from, whose state has the same shape."""

    def __init__(self, model: WordLanguageModel, words: Any, scorer: Any) -> None:
        self.initial_state = model.initial_state
        self.words = words
        self.scorer = scorer

    def __call__(self, tokens: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """Score every word as the successor of each token, as the model's forward method does."""
        return _run(self.words, INPUT_NAMES, (tokens, *state))

    def score(
        self, tokens: Tensor, targets: Tensor, state: HiddenState
    ) -> tuple[Tensor, HiddenState]:
        """Compute the loss of each target, of shape ``(tokens,)``, and the state after them."""
        losses, state = _run(self.scorer, SCORER_INPUTS, (tokens, targets, *state))
        return losses.flatten(), state

    def eval(self) -> OpenVINOLanguageModel:
        """Do nothing: a compiled model has left training behind."""
        return self


def _run(
    compiled: Any, names: tuple[str, ...], tensors: tuple[Tensor, ...]
) -> tuple[Tensor, HiddenState]:
    """Run a compiled model, whose outputs are overwritten by its next run."""
    results = compiled(dict(zip(names, (tensor.numpy() for tensor in tensors), strict=True)))
    first, hidden, cell = (torch.from_numpy(results[place].copy()) for place in range(3))
    return first, (hidden, cell)


def prepare(model: WordLanguageModel, folder: Path, name: str, compress: Compress) -> Prepared:
    """Export a model, convert it, compress its weights, and load the compressed files."""
    ov = without_telemetry("openvino")
    core = ov.Core()
    files = {}
    for kind, export in (("words", route.export_lstm), ("scorer", route.export_scorer)):
        program = ov.convert_model(folded(model, folder, export))
        files[kind] = folder / f"{name}_{kind}.xml"
        ov.save_model(compress(program), files[kind], compress_to_fp16=False)
    words, scorer = (core.compile_model(file, "CPU", ONE_THREAD) for file in files.values())
    sizes = (files["words"].with_suffix(end).stat().st_size for end in (".xml", ".bin"))
    return Prepared(
        OpenVINOLanguageModel(model, words, scorer),
        sum(sizes) / 1e6,
        openvino_types(core.read_model(files["words"])),
    )


READERS = {"Gather": "embedding", "LSTMSequence": "LSTM", "MatMul": "decoder"}
"""The operators that read the weights of each layer."""


def openvino_types(program: Any) -> dict[str, str]:
    """Find out in which types the weights of each layer are stored in a converted model."""
    return most_bytes(
        (layer, node.get_element_type().get_type_name(), node.get_byte_size())
        for node in program.get_ops()
        if node.get_type_name() == "Constant" and (layer := _layer_reading(node))
    )


def _layer_reading(node: Any) -> str:
    """Follow what becomes of a constant to the layer that it is a weight of, if it is one."""
    while True:
        readers = [target.get_node() for target in node.output(0).get_target_inputs()]
        if len(readers) != 1:
            return ""
        [node] = readers
        if node.get_type_name() in READERS:
            return READERS[node.get_type_name()]
