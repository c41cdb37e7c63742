"""What is left of reStructuredText in a notebook is found, and nothing else."""

import json

import pytest

from tools.downloads import notebook_rst


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("see :func:`train` now", "a role"),
        (".. note:: Be careful.", "a directive"),
        (".. _recipe-one:", "an anchor or a comment"),
        ("`the issue <https://example.org>`_", "a link"),
        ("`the issue <https://example.org>`__", "a link"),
        ("[the issue](https://example.org)_", "a link"),
        ("as they say [1]_ and [#note]_", "a footnote"),
        ("two in 2\\ `7`", "an escaped space"),
        ("as follows::\n\n    code", "a literal block"),
        (":align: center", "an option"),
        ("Title\n=====", "a rule of a heading or a table"),
        ("+-----+----+", "a rule of a heading or a table"),
        ("`the first <recipe-one>`", "a label with its target"),
    ],
)
def test_restructuredtext_is_found(text, what):
    assert what in [found for found, _ in notebook_rst.rst_in_markdown(text)]


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n\nSome *text* and **more** of it: 12:30, a::b, x_ and `code`.",
        "a [link](https://example.org), ``:func:`x` `` and ``<eos>``",
        "```python\nx = ':func:`y`'  # .. note::\n```",
        "a formula: $a \\ b$",
        "- one\n- two\n\n---\n\n1. three … four ...",
        "`x < y` and `a -> b`",
    ],
)
def test_markdown_is_not(text):
    assert list(notebook_rst.rst_in_markdown(text)) == []


def test_a_finding_names_the_notebook_and_the_cell(tmp_path):
    cells = [
        {"cell_type": "code", "source": ["x = ':func:`y`'"]},
        {"cell_type": "markdown", "source": ["fine\n", "see :ref:`recipe`"]},
    ]
    (tmp_path / "_downloads").mkdir()
    notebook = tmp_path / "_downloads" / "plot_10.ipynb"
    notebook.write_text(json.dumps({"cells": cells}))
    (finding,) = notebook_rst.findings(tmp_path)
    assert finding.place == "plot_10.ipynb"
    assert finding.rule == "notebook"
    assert "cell 2 shows a role: 'see :ref:`recipe`'" in finding.message
