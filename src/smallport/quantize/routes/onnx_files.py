"""Routes through ONNX Runtime: export, fold, quantize the file."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from smallport.lstm import WordLanguageModel
from smallport.quantize import onnx as route
from smallport.quantize.onnx.blocks import blocks_4bit, embedding_by_frequency
from smallport.quantize.routes.prepared import Prepared, most_bytes

Step = Callable[[Path, Path], None]
"""Reads an ONNX file and writes another."""

FREQUENT = 4
"""One word in so many counts as frequent."""

READERS = {
    "embedding": {"Gather", "DequantizeLinear", "GatherBlockQuantized"},
    "LSTM": {"LSTM", "DynamicQuantizeLSTM"},
    "decoder": {"MatMul", "MatMulInteger", "MatMulNBits"},
}
"""The operators that read the weights of each layer."""


def float32(model: WordLanguageModel, folder: Path) -> Prepared:
    """Run the model in ONNX Runtime, in floats."""
    return prepare(model, folder, "float32")


def int8(model: WordLanguageModel, folder: Path) -> Prepared:
    """Store embedding, LSTM and decoder in 8 bits; losses are computed from logits outside."""
    return prepare(model, folder, "int8", route.quantize_file, scorer=False)


def int8_loss_inside(model: WordLanguageModel, folder: Path) -> Prepared:
    """Store everything in 8 bits, and keep the logits inside the graph."""
    return prepare(model, folder, "int8_inside", route.quantize_file)


def int8_per_tensor(model: WordLanguageModel, folder: Path) -> Prepared:
    """Store everything in 8 bits with one scale for each weight, and keep the logits inside."""
    per_tensor = partial(route.quantize_file, per_channel=False)
    return prepare(model, folder, "int8_tensor", per_tensor)


def embedding_4bit(model: WordLanguageModel, folder: Path) -> Prepared:
    """Store the embedding in 4 bits, and the rest in 8."""
    embedding = partial(blocks_4bit, operator="Gather")
    return prepare(model, folder, "embedding_4bit", embedding, route.quantize_file)


def all_4bit(model: WordLanguageModel, folder: Path) -> Prepared:
    """Store embedding and decoder in 4 bits, and the LSTM in 8."""
    embedding = partial(blocks_4bit, operator="Gather")
    decoder = partial(blocks_4bit, operator="MatMul")
    return prepare(model, folder, "4bit", embedding, decoder, route.quantize_file)


def by_frequency(model: WordLanguageModel, folder: Path) -> Prepared:
    """Store rare words in 2 bits, frequent ones and the decoder in 4, and the LSTM in 8."""
    frequent = model.encoder.num_embeddings // FREQUENT
    embedding = partial(embedding_by_frequency, frequent=frequent)
    decoder = partial(blocks_4bit, operator="MatMul")
    return prepare(model, folder, "by_frequency", embedding, decoder, route.quantize_file)


def prepare(
    model: WordLanguageModel, folder: Path, name: str, *steps: Step, scorer: bool = True
) -> Prepared:
    """Export a model, fold its constants, and take the file through steps that write the next.

    With ``scorer``, the same is done to the model with its loss inside, which then gives the
    losses.
    """
    file = folder / f"{name}.onnx"
    take_steps(folded(model, folder, route.export_lstm), file, steps)
    inside = None
    if scorer:
        inside = folder / f"{name}_losses.onnx"
        take_steps(folded(model, folder, route.export_scorer), inside, steps)
    running = route.ONNXLanguageModel(file, scorer=inside, threads=1)
    return Prepared(running, file.stat().st_size / 1e6, onnx_types(file))


def folded(
    model: WordLanguageModel, folder: Path, export: Callable[[WordLanguageModel, Path], None]
) -> Path:
    """Export a model into a folder and fold its constants, unless it is there already.

    The file's name holds a checksum of the weights, so that no other model is taken for this one.
    """
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    target = folder / f"{export.__name__}_{digest.hexdigest()[:16]}.onnx"
    if not target.exists():
        exported = target.with_suffix(".exported.onnx")
        export(model, exported)
        route.fold_constants(exported, target)
        exported.unlink()
    return target


def take_steps(source: Path, target: Path, steps: tuple[Step, ...]) -> None:
    """Take a file through steps, the last of which writes the target."""
    if not steps:
        shutil.copyfile(source, target)
    current = source
    for number, step in enumerate(steps, start=1):
        last = number == len(steps)
        result = target if last else target.with_suffix(f".{number}.onnx")
        step(current, result)
        if current != source:
            current.unlink()
        current = result


def onnx_types(file: Path) -> dict[str, str]:
    """Find out in which types the weights of each layer are stored in an ONNX file."""
    layers = {operator: layer for layer, readers in READERS.items() for operator in readers}
    return most_bytes(
        (layers[weight.operator], weight.dtype.lower(), weight.megabytes * 1e6)
        for weight in route.weight_types(file)
        if weight.operator in layers
    )
