"""Make the model that runs in the page, and write with it in Python."""

import dataclasses
import tempfile
from pathlib import Path

import torch

from smallport import assets, lstm
from smallport.quantize import onnx as onnx_route
from tools.demo import writing

INTEGER_OPERATORS = {"DynamicQuantizeLSTM", "MatMulInteger", "DequantizeLinear"}
FLOAT_OPERATORS = {"LSTM", "MatMul", "Gemm"}


def make_model(corpus: lstm.Corpus, target: Path) -> int:
    """Write the trained model as an int8 ONNX file.

    Returns
    -------
    int
        The size of the same file in floats, in bytes.
    """
    pretrained = assets.language_model(corpus)
    model = lstm.WordLanguageModel(len(corpus.vocabulary), pretrained.config)
    model.load_state_dict(torch.load(pretrained.file, weights_only=True))
    with tempfile.TemporaryDirectory() as scratch:
        exported, folded = Path(scratch, "exported.onnx"), Path(scratch, "folded.onnx")
        onnx_route.export_lstm(model, exported)
        onnx_route.fold_constants(exported, folded)
        # Readers have all kinds of processors, and the browser's words are compared with Python's.
        onnx_route.quantize_file(folded, target, reduce_range=True)
        assert_int8(target)
        return folded.stat().st_size


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


def expected(file: Path, vocabulary: lstm.Vocabulary) -> dict[str, object]:
    """Write with the model in Python, for readers to see and for browsers to agree with."""
    model = onnx_route.ONNXLanguageModel(file, threads=1)
    numbers = writing.random_numbers()
    writing.write(model, vocabulary, None)  # the first run of a session is slower
    return {
        "beginning": list(writing.BEGINNING),
        "numbers": numbers,
        "probable": list(map(dataclasses.asdict, writing.write(model, vocabulary, None))),
        "drawn": list(map(dataclasses.asdict, writing.write(model, vocabulary, numbers))),
    }
