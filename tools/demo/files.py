"""Make the files with which the model runs in the page, unless they are there already.

The site serves them from the folder ``in_the_page``: the runtime, the model in int8, its
vocabulary, and what Python's ONNX Runtime wrote with it; and the model in float32, which a browser
loads only for a comparison.
"""

import importlib.metadata
import json
import os
import shutil
import traceback
from pathlib import Path
from pydoc_data import topics
from typing import TYPE_CHECKING

from smallport import files, keys
from tools.demo import runtime
from tools.gallery import project, settings

if TYPE_CHECKING:
    from smallport import lstm

FOLDER = project.BUILD / "demo"
SITE = FOLDER / "site"
"""The folder that is copied to the root of the site."""

SERVED = SITE / "in_the_page"
DESCRIPTION = FOLDER / "demo.json"
"""Says what was made and of what, or why nothing was."""

MODEL, VOCABULARY, EXPECTED = "model.onnx", "vocabulary.json", "expected.json"
FLOAT_MODEL = "float32.onnx"
LOADED = (runtime.SCRIPT, runtime.BINARY, MODEL, VOCABULARY, EXPECTED)
"""The files that a browser loads before it writes."""

PAGES = (project.DOCS / "in_the_page.rst", project.DOCS / "index.rst")
"""The documents in which the model runs."""

PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")
"""The packages that the model is trained and converted by."""


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


def make(missing: str = "") -> None:
    """Make the files, or none where something is missing.

    Parameters
    ----------
    missing
        The reason that :func:`lacking` gave.
    """
    SITE.mkdir(parents=True, exist_ok=True)  # Sphinx copies it, whatever is in it
    if missing:
        shutil.rmtree(SERVED, ignore_errors=True)
        files.write_json(DESCRIPTION, {"missing": missing})
        return
    key = current_key()
    if is_current(key):
        return
    from smallport import assets  # noqa: PLC0415 - these import torch
    from tools.demo import making  # noqa: PLC0415

    with files.replacing(SERVED) as folder:
        folder.mkdir()
        pin = runtime.pinned()
        runtime.unpack(runtime.fetch(pin), pin, folder)
        corpus = assets.corpus()
        int8, float32 = folder / MODEL, folder / FLOAT_MODEL
        making.make_models(corpus, int8, float32)
        files.write_json(folder / VOCABULARY, corpus.vocabulary.words)
        files.write_json(folder / EXPECTED, making.expected(int8, float32, corpus.vocabulary))
        assert_trained(folder, corpus)
    description = {
        "key": key,
        "words": len(corpus.vocabulary),
        "corpus": corpus.name,
        "files": {name: describe(SERVED / name) for name in (*LOADED, FLOAT_MODEL)},
    }
    files.write_json(DESCRIPTION, description)


def assert_trained(folder: Path, corpus: "lstm.Corpus") -> None:
    """Make sure that a folder to be served holds the trained model, and words of it.

    Raises
    ------
    AssertionError
        When it does not.
    """
    from smallport import assets  # noqa: PLC0415 - these import torch
    from tools.demo import making  # noqa: PLC0415

    words = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
    assert tuple(words) == corpus.vocabulary.words, (
        f"{VOCABULARY} does not hold the words of the corpus in their order: look at "
        "tools.demo.files.make"
    )
    texts = json.loads((folder / EXPECTED).read_text(encoding="utf-8"))
    making.assert_trained(
        {"int8": folder / MODEL, "float32": folder / FLOAT_MODEL},
        {"int8": texts, "float32": texts["float32"]},
        texts["numbers"],
        corpus,
        assets.language_model(corpus).model,
    )


def try_to_make(missing: str = "") -> str:
    """Make the files; return what kept them from being made, which the page then says.

    An error of the export concerns pages, too, and the build has to continue to name them.

    Parameters
    ----------
    missing
        As for :func:`make`.
    """
    try:
        make(missing)
    except Exception as error:  # noqa: BLE001 - upstream may raise anything
        traceback.print_exc()
        why = f"It could not be made: {type(error).__name__}: {error}"
        make(why)
        return why
    return ""


def unmade(why: str) -> list[project.Finding]:
    """Name the places of the site that have no demo, and say why.

    Parameters
    ----------
    why
        The reason that :func:`try_to_make` gave.
    """
    found = []
    for document in PAGES:
        lines = document.read_text(encoding="utf-8").splitlines() if document.exists() else []
        place = next((n for n, line in enumerate(lines, 1) if line.startswith(".. demo::")), None)
        if place or document == PAGES[0]:
            found.append(project.finding(document, place, "demo", why))
    return found


def current_key() -> str:
    """Name what the files are made from: code, versions, corpus and runtime."""
    # The second name has the imports of our own package followed.
    code = keys.code_key("tools.demo.making", "smallport")
    versions = (f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    assets = (os.environ.get(name, "") for name in (settings.ASSETS, *settings.FOR_PUBLISHED))
    corpus = files.sha256(Path(topics.__file__))
    return keys.key_of(code, *versions, *assets, corpus, files.sha256(runtime.PIN))


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
