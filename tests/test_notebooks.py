"""Notebooks read well where there is no Sphinx."""

import json
import zipfile

import pytest

import notebooks

HERE, ROOT = "https://site/gallery/folder/", "https://site/"


def text_of(source):
    notebook = {"cells": [{"cell_type": "markdown", "metadata": {}, "source": [source]}]}
    content = notebooks.converted(json.dumps(notebook).encode(), HERE, ROOT)
    return "".join(json.loads(content)["cells"][0]["source"])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("see :func:`smallport.lstm.train` now", "see `smallport.lstm.train` now"),
        ("a :class:`~transformers.DynamicCache`.", "a `DynamicCache`."),
        ("took :published:`188.6 s`, then", "took 188.6 s, then"),
        (":doc:`the next\npage <plot_20>`", f"[the next page]({HERE}plot_20.html)"),
        (":doc:`assets </assets>`", f"[assets]({ROOT}assets.html)"),
        ("no role: ``a:b`` and 12:30", "no role: ``a:b`` and 12:30"),
        (
            "as the gallery leaves it: `the\nfirst <recipe-one>`",
            "as the gallery leaves it: the first",
        ),
        ("code: ``<recipe-one>`` and `x < y > z`", "code: ``<recipe-one>`` and `x < y > z`"),
    ],
)
def test_roles_become_markdown(source, expected):
    assert text_of(source) == expected


def test_code_is_left_alone():
    notebook = {"cells": [{"cell_type": "code", "source": ["x = ':func:`y`'"]}]}
    content = notebooks.converted(json.dumps(notebook).encode(), HERE, ROOT)
    assert json.loads(content) == notebook


def test_archives_get_the_converted_notebook_and_keep_the_rest(tmp_path):
    (tmp_path / "page.ipynb").write_bytes(b"converted")
    archive = tmp_path / "page.zip"
    with zipfile.ZipFile(archive, "w") as old:
        old.writestr("page.py", b"script")
        old.writestr("page.ipynb", b"as the gallery made it")
    notebooks.refresh(archive)
    with zipfile.ZipFile(archive) as new:
        assert {name: new.read(name) for name in new.namelist()} == {
            "page.py": b"script",
            "page.ipynb": b"converted",
        }


def first_cell(first, code):
    cells = [
        {"cell_type": "code", "metadata": {}, "source": [source], "outputs": []}
        for source in (first, code)
    ]
    content = notebooks.converted(json.dumps({"cells": cells}).encode(), HERE, ROOT)
    return "".join(json.loads(content)["cells"][0]["source"])


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("import torch", "quantization"),
        ("import onnxruntime as ort", "onnx"),
        ("import onnxruntime\nfrom transformers import DynamicCache", "export"),
    ],
)
def test_the_first_cell_installs_what_the_others_import_without_cuda(code, extra):
    wheel = "https://site/smallport-0-py3-none-any.whl"
    cell = first_cell(f"%pip install {wheel}", code)
    assert cell == (
        "%pip install --extra-index-url https://download.pytorch.org/whl/cpu "
        f'"smallport[{extra}] @ {wheel}"'
    )
    assert first_cell(cell, code) == cell
