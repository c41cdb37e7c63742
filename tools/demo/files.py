"""Make the files with which the model runs in the page, unless they are there already.

The site serves them from the folder ``in_the_page``: the runtime, the model in int8, its
vocabulary, and what Python's ONNX Runtime wrote with it.
"""

import dataclasses
import json
import shutil
import tempfile
import traceback
from pathlib import Path

import torch

from smallport import assets, files, keys, lstm
from smallport.quantize import onnx as onnx_route
from tools.demo import runtime, writing
from tools.gallery import project

FOLDER = project.BUILD / "demo"
SITE = FOLDER / "site"
"""What is copied to the root of the site."""

SERVED = SITE / "in_the_page"
DESCRIPTION = FOLDER / "demo.json"
"""Says what was made and of what, or why nothing was."""

MODEL, VOCABULARY, EXPECTED = "model.onnx", "vocabulary.json", "expected.json"
LOADED = (runtime.SCRIPT, runtime.BINARY, MODEL, VOCABULARY, EXPECTED)
"""What a browser loads."""

INTEGER_OPERATORS = {"DynamicQuantizeLSTM", "MatMulInteger", "DequantizeLinear"}
FLOAT_OPERATORS = {"LSTM", "MatMul", "Gemm"}


def lacking() -> str:
    """Say why the model cannot run in the page; empty where it can.

    Raises
    ------
    ChecksumError
        When what the registry gave is not what is pinned.
    """
    try:
        runtime.fetch(runtime.pinned())
    except runtime.UnavailableError as error:
        return str(error)
    return ""


def make(fingerprint: str, missing: str = "") -> None:
    """Make the files, or none where something is missing.

    Parameters
    ----------
    fingerprint
        Of the package, the versions and the corpus, as the pages have it.
    missing
        What :func:`lacking` said.
    """
    SITE.mkdir(parents=True, exist_ok=True)  # Sphinx copies it, whatever is in it
    if missing:
        shutil.rmtree(SERVED, ignore_errors=True)
        files.write_json(DESCRIPTION, {"missing": missing})
        return
    key = key_of(fingerprint)
    if is_current(key):
        return
    with files.replacing(SERVED) as folder:
        folder.mkdir()
        pin = runtime.pinned()
        runtime.unpack(runtime.fetch(pin), pin, folder)
        corpus = assets.corpus()
        float_bytes = make_model(corpus, folder / MODEL)
        files.write_json(folder / VOCABULARY, corpus.vocabulary.words)
        files.write_json(folder / EXPECTED, expected(folder / MODEL, corpus.vocabulary))
    description = {
        "key": key,
        "float_bytes": float_bytes,
        "words": len(corpus.vocabulary),
        "corpus": corpus.name,
        "files": {name: describe(SERVED / name) for name in LOADED},
    }
    files.write_json(DESCRIPTION, description)


def try_to_make(fingerprint: str, missing: str = "") -> str:
    """Make the files; return what kept them from being made, which the page then says.

    What breaks the export of the model breaks pages, too, and the build has to come to say which.

    Parameters
    ----------
    fingerprint, missing
        As for :func:`make`.
    """
    try:
        make(fingerprint, missing)
    except Exception as error:  # noqa: BLE001 - upstream may raise anything
        traceback.print_exc()
        why = f"It could not be made: {type(error).__name__}: {error}"
        make(fingerprint, why)
        return why
    return ""


def key_of(fingerprint: str) -> str:
    """Name what the files are made from."""
    code = keys.code_key(__name__, "smallport")  # the second name has our own imports followed
    return keys.key_of(fingerprint, code, files.sha256(runtime.PIN))


def is_current(key: str) -> bool:
    """Tell whether the files were made from the same, and are as they were written."""
    if not DESCRIPTION.exists():
        return False
    description = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return description.get("key") == key and all(
        (SERVED / name).exists() and describe(SERVED / name) == found
        for name, found in description["files"].items()
    )


def describe(file: Path) -> dict[str, object]:
    """Describe a file by its size and its content."""
    return {"bytes": file.stat().st_size, "sha256": files.sha256(file)}


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
        onnx_route.dynamic_int8(folded, target)
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
        "missing; see smallport.quantize.onnx.dynamic_int8"
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
