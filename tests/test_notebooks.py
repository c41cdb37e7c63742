"""Notebooks read well where there is no Sphinx, and begin with what installs their imports."""

import json

import pytest

import notebooks
from tools.downloads.install import Wheel

PAGE, SITE = "gallery/folder/plot_10", "https://site/"
PUBLISHED, UNPUBLISHED = Wheel("1.0", SITE), Wheel("1.0")


def cells_of(*cells, wheel=PUBLISHED):
    made = [
        {"cell_type": kind, "metadata": {}, "source": [source], "outputs": []}
        for kind, source in cells
    ]

    def link(page):
        return wheel.site and f"{wheel.site}{page}.html"

    content = notebooks.converted(json.dumps({"cells": made}).encode(), PAGE, wheel, link)
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
