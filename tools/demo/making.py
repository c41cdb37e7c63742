"""Make the models that run in the page, write with them in Python, and check both."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from smallport import assets, lstm
from smallport.quantize import onnx as onnx_route
from tools.demo import writing

INTEGER_OPERATORS = {"DynamicQuantizeLSTM", "MatMulInteger", "DequantizeLinear"}
FLOAT_OPERATORS = {"LSTM", "MatMul", "Gemm"}

TEST_TOKENS = 2000
"""The beginning of the test text on which the served files have to lose what the model does."""

GAPS = {"float32": (1e-4, 1e-4, 1.0), "int8": (0.01, 0.01, 0.8)}
"""For each precision the largest difference of the loss, in nats, and of the mean probability of
the words, and the smallest share of words that the trained model chooses, too."""


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


def assert_trained(
    models: dict[str, Path],
    texts: dict[str, dict[str, Any]],
    numbers: Sequence[float],
    corpus: lstm.Corpus,
    model: lstm.WordLanguageModel,
) -> None:
    """Make sure that files and words are those of the trained model, which PyTorch runs here.

    Parameters
    ----------
    models
        The served files, ``int8`` and ``float32``.
    texts
        The words that were written with each, as :func:`expected` returns them.
    numbers
        The numbers that drew words.
    corpus
        The text that the model was trained on.
    model
        The trained model, loaded from the assets.

    Raises
    ------
    AssertionError
        When a file or a text is of another model.
    """
    tokens = corpus.test[:TEST_TOKENS]
    loss = lstm.evaluate(model, tokens)
    for name, file in models.items():
        most, _, _ = GAPS[name]
        served = lstm.evaluate(onnx_route.ONNXLanguageModel(file, threads=1), tokens)
        assert abs(served - loss) <= most, (
            f"{file.name} loses {served:.4f} nats a word, and the trained model {loss:.4f}: it is "
            "another model. Look at tools.demo.making.make_models"
        )
        for kind in ("probable", "drawn"):
            written = [writing.Word(**word) for word in texts[name][kind]]
            chosen_by = numbers if kind == "drawn" else None
            _assert_written(f"{name}, {kind}", written, chosen_by, corpus.vocabulary, model)


def _assert_written(
    name: str,
    written: Sequence[writing.Word],
    numbers: Sequence[float] | None,
    vocabulary: lstm.Vocabulary,
    model: lstm.WordLanguageModel,
) -> None:
    """Let the trained model read a text, and compare the words that it chooses at each place."""
    _, most, least = GAPS[name.partition(",")[0]]
    tokens = torch.tensor([word.token for word in written])
    beginning = vocabulary.encode(writing.BEGINNING)
    with torch.no_grad():
        read = torch.cat([beginning, tokens])[:-1, None]
        logits, _ = model(read, model.initial_state(1))
    probabilities = logits[len(beginning) - 1 :, 0].double().softmax(-1)
    apart = sum(
        abs(float(row[word.token]) - word.probability)
        for row, word in zip(probabilities, written, strict=True)
    ) / len(written)
    same = writing.chosen(probabilities, numbers) == tokens
    share = float(same.double().mean())
    assert (apart <= most) & (share >= least), (
        f"the words of {name} are not those of the trained model: it chooses {share:.0%} of them, "
        f"and their probabilities are {apart:.4f} apart on average. Look at tools.demo.writing"
    )
    words = [word.word for word in written]
    assert words == [vocabulary.words[token] for token in tokens], (
        f"the words of {name} are not those of their tokens: look at tools.demo.writing"
    )
