"""What the site offers for download is completed when the site is written."""

import io
import json
import zipfile
from types import SimpleNamespace

import pytest

import downloads
from tools.downloads import bundle
from tools.gallery import project

NAME = "smallport-1.0-py3-none-any.whl"
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["see :doc:`the other <plot_20>`"]},
        {"cell_type": "code", "source": ["import torch"]},
    ]
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Set up a gallery of two pages and the site that Sphinx wrote; complete it for an address."""
    docs, out = tmp_path / "docs", tmp_path / "html"
    gallery, examples = docs / "gallery", tmp_path / "examples"
    monkeypatch.setattr(project, "GALLERY", gallery)
    monkeypatch.setattr(project, "EXAMPLES", examples)
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
            config=SimpleNamespace(release="1.0", html_baseurl=address),
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
