"""The prose of a file, with its lines."""

import pytest

from tools.lint import passages

PAGE = '''"""
Title
=====

An introduction with ``code`` and `a link <https://example.org>`_.
"""

# %%
# Heading
# -------
#
# A paragraph of text,
# on two lines.

# A comment of the code.
print("A message in", f"{1 + 1} pieces, " "of which two are joined.")
pattern = r"\\bno prose here"


class Thing:
    """
    Be documented.

    Parameters
    ----------
    name
        The name of it.

    Examples
    --------
    >>> Thing("not prose here")
    not prose either

    After the example.
    """

    value = 1
    """A constant with a docstring."""
'''


@pytest.fixture
def read(tmp_path):
    def read(name, text):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return [
            (one.kind, one.line, " ".join(one.text.replace(passages.CODE, "").split()))
            for one in passages.passages(file)
        ]

    return read


def test_python_has_docstrings_messages_and_cells_of_text(read):
    assert read("page.py", PAGE) == [
        ("title", 2, "Title"),
        ("docstring", 5, "An introduction with and a link ."),
        ("message", 16, "A message in"),
        ("message", 16, "pieces, of which two are joined."),
        ("summary", 22, "Be documented."),
        ("title", 24, "Parameters"),
        ("docstring", 26, "name The name of it."),
        ("title", 29, "Examples"),
        ("docstring", 34, "After the example."),
        ("summary", 38, "A constant with a docstring."),
        ("title", 9, "Heading"),
        ("text", 12, "A paragraph of text, on two lines."),
    ]


def test_joined_strings_keep_their_lines(read):
    found = read("tool.py", 'print(\n    "A message, "\n    "of two lines."\n)\n')
    assert found == [("message", 2, "A message, of two lines.")]


def test_restructuredtext_has_titles_and_text_without_code(read):
    text = """\
Title
=====

A paragraph::

    code that is no prose

.. code-block:: console

   $ no prose

.. note::

   A note.

.. list-table::
   :header-rows: 1

   * - a cell

>>> no_prose
no prose

The end.
"""
    assert read("page.rst", text) == [
        ("title", 1, "Title"),
        ("text", 4, "A paragraph::"),
        ("text", 14, "A note."),
        ("text", 19, "* - a cell"),
        ("text", 24, "The end."),
    ]


def test_templates_have_the_texts_of_their_elements(read):
    text = '<p title="no prose here">A <b>bold</b> {{ value }}\nparagraph.</p>\n<td>and a cell</td>'
    assert read("page.html", text) == [
        ("text", 1, "A bold paragraph."),
        ("text", 3, "and a cell"),
    ]


def test_markdown_has_titles_and_text_without_code(read):
    text = """\
# Title

A [link](https://example.org) and `code`.

    indented code

```python
fenced = "code"
```

The end.
"""
    assert read("page.md", text) == [
        ("title", 1, "# Title"),
        ("text", 3, "A [link and ."),
        ("text", 11, "The end."),
    ]
