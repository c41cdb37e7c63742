"""A notebook has the cells of its script, in order, with the same code and the same words."""

import json

import pytest

from tools.downloads import conversion

SCRIPT = '''# /// script
# dependencies = ["torch"]
# ///
"""
A page
======

It uses :func:`~smallport.checks.check`.
"""
# sphinx_gallery_thumbnail_number = 2
import torch

# %%
# .. _recipe-two:
#
# See :doc:`the other page <plot_20>` and `an issue <https://example.org>`__: 10\\ :sup:`3` words.

print(torch.ones(3))  # three
'''
CELLS = [
    ("code", "%pip install -q torch"),
    ("markdown", "# A page\n\nIt uses `check`."),
    ("code", "import torch"),
    (
        "markdown",
        "See [the other page](x.html) and [an issue](https://example.org): 10<sup>3</sup> words.",
    ),
    ("code", "print(torch.ones(3))  # three"),
]


@pytest.fixture
def differences(tmp_path):
    """Compare the script with a notebook of some cells."""

    def compared(cells):
        script, notebook = tmp_path / "plot_10.py", tmp_path / "plot_10.ipynb"
        script.write_text(SCRIPT)
        content = {"cells": [{"cell_type": kind, "source": [text]} for kind, text in cells]}
        notebook.write_text(json.dumps(content))
        return list(conversion.differences(notebook, script))

    return compared


def test_a_notebook_with_the_cells_of_its_script_passes(differences):
    assert differences(CELLS) == []


@pytest.mark.parametrize(
    ("place", "cell", "message"),
    [
        (4, ("code", "print(torch.ones(4))  # three"), "cell 5 (code) is not as in plot_10.py"),
        (4, ("code", "print(torch.ones(3))"), "cell 5 (code) is not as in plot_10.py"),
        (1, ("markdown", "# A page\n\nIt needs `check`."), "cell 2 (markdown) is not as in"),
        (3, ("code", "pass"), "cell 4 is code, and markdown in plot_10.py"),
    ],
)
def test_a_changed_cell_is_named(differences, place, cell, message):
    (found,) = differences([*CELLS[:place], cell, *CELLS[place + 1 :]])
    assert message in found


def test_a_missing_or_an_additional_cell_is_named(differences):
    assert differences(CELLS[:-1]) == ["cell 5 is missing, and code in plot_10.py"]
    assert differences([*CELLS, CELLS[-1]]) == ["cell 6 is code, and missing in plot_10.py"]
    assert differences([*CELLS[:2], *CELLS[3:]]) != []
