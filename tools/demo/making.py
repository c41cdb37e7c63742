"""Make the models that run in the page, and write with them in Python."""

import dataclasses
import tempfile
from pathlib import Path

import torch

from smallport import assets, lstm
from smallport.quantize import onnx as onnx_route
from tools.demo import writing

INTEGER_OPERATORS = {"DynamicQuantizeLSTM", "MatMulInteger", "DequantizeLinear"}
FLOAT_OPERATORS = {"LSTM", "MatMul", "Gemm"}


def make_models(corpus: lstm.Corpus, int8: Path, float32: Path) -> None:
    """Write the trained model as two ONNX files, in int8 and in float32."""
    pretrained = assets.language_model(corpus)
    model = lstm.WordLanguageModel(len(corpus.vocabulary), pretrained.config)
    model.load_state_dict(torch.load(pretrained.file, weights_only=True))
    with tempfile.TemporaryDirectory() as scratch:
        exported = Path(scratch, "exported.onnx")
        onnx_route.export_lstm(model, exported)
        onnx_route.fold_constants(exported, float32)
    # Readers have all kinds of processors, and the browser's words are compared with Python's.
    onnx_route.quantize_file(float32, int8, reduce_range=True)
    assert_int8(int8)
    assert_float32(float32)


def assert_int8(file: Path) -> None:
    """Make sure that a file computes with integers.

    Raises
    ------
    AssertionError
        When one of its layers is in floats.
    """
    operators = set(onnx_route.operator_counts(file))
    assert operators >= INTEGER_OPERATORS, (
        f"{file.name} is not the int8 model: {', '.join(sorted(INTEGER_OPERATORS - operators))} is "
        "missing; see smallport.quantize.onnx.quantize_file"
    )
    left = operators & FLOAT_OPERATORS
    assert not left, f"{file.name} is not the int8 model: {', '.join(sorted(left))} is in floats"


def assert_float32(file: Path) -> None:
    """Make sure that a file computes with floats.

    Raises
    ------
    AssertionError
        When one of its layers is in integers, or its LSTM is missing.
    """
    operators = set(onnx_route.operator_counts(file))
    left = operators & INTEGER_OPERATORS
    assert not left, f"{file.name} is not the float32 model: it has {', '.join(sorted(left))}"
    assert "LSTM" in operators, f"{file.name} is not the float32 model: it has no LSTM"


def expected(int8: Path, float32: Path, vocabulary: lstm.Vocabulary) -> dict[str, object]:
    """Write with both models in Python, for readers to see and for browsers to agree with."""
    numbers = writing.random_numbers()
    return {
        "beginning": list(writing.BEGINNING),
        "numbers": numbers,
        **_texts(int8, vocabulary, numbers),
        "float32": _texts(float32, vocabulary, numbers),
    }


def _texts(file: Path, vocabulary: lstm.Vocabulary, numbers: list[float]) -> dict[str, object]:
    """Write with one model, the most probable words and drawn ones."""
    model = onnx_route.ONNXLanguageModel(file, threads=1)
    writing.write(model, vocabulary, None)  # the first run of a session is slower
    return {
        "probable": list(map(dataclasses.asdict, writing.write(model, vocabulary, None))),
        "drawn": list(map(dataclasses.asdict, writing.write(model, vocabulary, numbers))),
    }
