"""What the site offers for download is complete, and reads well where there is no Sphinx."""

import io
import json
import zipfile
from types import SimpleNamespace

import pytest

import downloads
from tools.downloads import bundle, wheel
from tools.downloads.install import Wheel
from tools.gallery import project

NAME = "smallport-1.0-py3-none-any.whl"
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["see :doc:`the other <plot_20>`"]},
        {"cell_type": "code", "source": ["import torch"]},
    ]
}
PAGE, SITE = "gallery/folder/plot_10", "https://site/"
PUBLISHED, UNPUBLISHED = Wheel("1.0", SITE), Wheel("1.0")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Set up a gallery of two pages and the site that Sphinx wrote; complete it for an address."""
    docs, out = tmp_path / "docs", tmp_path / "html"
    gallery, examples = docs / "gallery", tmp_path / "examples"
    monkeypatch.setattr(project, "GALLERY", gallery)
    monkeypatch.setattr(project, "EXAMPLES", examples)
    monkeypatch.setattr(wheel, "FOLDER", out)
    offered = {}
    for page in ("plot_10", "plot_20"):
        for folder in (gallery / "folder", examples / "folder"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{page}.py").write_text(f'"""\nPage {page}\n"""\nimport torch\n')
        (gallery / "folder" / f"{page}.ipynb").write_text(json.dumps(NOTEBOOK))
        for suffix in (".py", ".ipynb", ".zip"):
            offered[docs / "gallery" / "folder" / f"{page}{suffix}"] = f"{page}{suffix}"
    out.mkdir()
    (out / NAME).write_bytes(b"wheel")

    def complete(address):
        named = {file.relative_to(docs): (set(), f"0/{name}") for file, name in offered.items()}
        app = SimpleNamespace(
            builder=SimpleNamespace(name="html"),
            outdir=out,
            srcdir=docs,
            config=SimpleNamespace(html_baseurl=address),
            env=SimpleNamespace(dlfiles=named),
        )
        downloads.complete(app, None)
        return out

    return complete


def text_of(notebook):
    return "".join(json.loads(notebook)["cells"][1]["source"])


def members(file):
    content = file.read_bytes() if not isinstance(file, bytes) else file
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_with_an_address_everything_names_it(site):
    out = site("https://example.org/") / "_downloads" / "0"
    script = (out / "plot_10.py").read_text()
    assert script.startswith("# /// script\n")
    assert f"https://example.org/{NAME}" in script
    assert script.endswith('"""\nPage plot_10\n"""\nimport torch\n')
    notebook = (out / "plot_10.ipynb").read_text()
    assert f"https://example.org/{NAME}" in notebook
    assert text_of(notebook) == "see [the other](https://example.org/gallery/folder/plot_20.html)"
    packed = members(out / "plot_10.zip")
    assert packed == {"plot_10.py": script.encode(), "plot_10.ipynb": notebook.encode()}


def test_without_one_nothing_names_any_and_archives_hold_the_wheel(site):
    out = site("") / "_downloads" / "0"
    script, notebook = (out / "plot_10.py").read_text(), (out / "plot_10.ipynb").read_text()
    assert "http" not in script + notebook
    assert text_of(notebook) == "see the other"
    assert members(out / "plot_10.zip") == {
        "plot_10.py": script.encode(),
        "plot_10.ipynb": notebook.encode(),
        NAME: b"wheel",
    }


@pytest.mark.parametrize("address", ["", "https://example.org/"])
def test_the_bundle_finds_wheel_and_pages_beside_it(site, address):
    packed = members(site(address) / bundle.NAME)
    script = packed[f"{bundle.FOLDER}/plot_10.py"].decode()
    notebook = packed[f"{bundle.FOLDER}/plot_10.ipynb"].decode()
    assert "example.org" not in script + notebook
    assert text_of(notebook) == "see [the other](plot_20.ipynb)"
    assert "plot_20.py  Page plot_20" in packed[f"{bundle.FOLDER}/README.md"].decode()


def test_a_second_build_writes_the_same(site):
    before = {file: file.read_bytes() for file in site("").rglob("*") if file.is_file()}
    after = {file: file.read_bytes() for file in site("").rglob("*") if file.is_file()}
    assert before == after


def test_a_build_that_failed_completes_nothing(tmp_path):
    downloads.complete(SimpleNamespace(), ValueError())
    assert list(tmp_path.iterdir()) == []


def cells_of(*cells, wheel=PUBLISHED):
    made = [
        {"cell_type": kind, "metadata": {}, "source": [source], "outputs": []}
        for kind, source in cells
    ]

    def link(page):
        return wheel.site and f"{wheel.site}{page}.html"

    content = downloads.converted(json.dumps({"cells": made}).encode(), PAGE, wheel, link)
    return ["".join(cell["source"]) for cell in json.loads(content)["cells"]]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("see :func:`smallport.lstm.train` now", "see `smallport.lstm.train` now"),
        ("a :class:`~transformers.DynamicCache`.", "a `DynamicCache`."),
        ("took :published:`188.6 s`, then", "took 188.6 s, then"),
        ("two in 2\\ :sup:`7`; H\\ :sub:`2`\\ O", "two in 2<sup>7</sup>; H<sub>2</sub>O"),
        (
            ":doc:`the next\npage <plot_20>`",
            "[the next page](https://site/gallery/folder/plot_20.html)",
        ),
        (":doc:`up <../other/plot_20>`", "[up](https://site/gallery/other/plot_20.html)"),
        (":doc:`assets </assets>`", "[assets](https://site/assets.html)"),
        ("no role: ``a:b`` and 12:30", "no role: ``a:b`` and 12:30"),
        (
            "as the gallery leaves it: `the\nfirst <recipe-one>`",
            "as the gallery leaves it: the first",
        ),
        ("code: ``<recipe-one>`` and `x < y > z`", "code: ``<recipe-one>`` and `x < y > z`"),
    ],
)
def test_roles_become_markdown(source, expected):
    assert cells_of(("markdown", source))[1] == expected


def test_without_an_address_a_reference_is_its_label():
    text = cells_of(("markdown", "see :doc:`the next page <plot_20>`"), wheel=UNPUBLISHED)[1]
    assert text == "see the next page"


def test_code_is_left_alone():
    assert cells_of(("code", "x = ':func:`y`'"))[1] == "x = ':func:`y`'"


def test_the_first_cell_installs_what_the_others_import():
    (first, *_) = cells_of(("markdown", "import transformers"), ("code", "import onnxruntime"))
    assert "smallport[onnx] @ https://site/smallport-1.0-py3-none-any.whl" in first
