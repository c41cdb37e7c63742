"""A page says what it finds, what it takes and what one learns, and ends with exercises."""

import pytest

from tools.gallery import project
from tools.lint import opening, pages

BEGINNING = """\
Title
=====

Result: a page
opens.

Prerequisites: none.

What you will learn: how a page
opens, and why.

An introduction.
"""
ENDING = """
# %%
# Exercises
# ---------
#
# 1. Open another page.

# Answer: the next one
import that

# %%
# Conclusion
# ----------
#
# It opens.
"""


@pytest.fixture
def findings(tmp_path, monkeypatch):
    """Give what finds what is missing in a page: line and message."""
    monkeypatch.setattr(project, "ROOT", tmp_path)
    script = tmp_path / "page.py"

    def write(beginning, ending):
        text = f'"""\n{beginning}"""\n\nimport this\n{ending}'
        script.write_text(text, encoding="utf-8")
        found = opening.findings(script, text, pages.cells_of(script))
        return [(one.line, one.message) for one in found]

    return write


def test_paragraphs_are_read_over_several_lines():
    read = opening.opening_of(f'"""\n{BEGINNING}"""\n')
    assert read == opening.Opening("a page opens.", "none.", "how a page opens, and why.")


@pytest.mark.parametrize("ending", ["", "\nYou will learn much.\n", "\nWhat you will learn:\n"])
def test_nothing_is_read_from_other_words(ending):
    text = f'"""\nTitle\n=====\n{ending}"""\n'
    assert opening.opening_of(f"{text}# What you will learn: nothing\n") == opening.Opening()


def test_a_page_with_all_of_it_passes(findings):
    assert findings(BEGINNING, ENDING) == []


@pytest.mark.parametrize("mark", opening.MARKS.values())
def test_a_paragraph_that_is_missing_is_named(findings, mark):
    ((line, message),) = findings(BEGINNING.replace(f"{mark}: ", ""), ENDING)
    assert line is None
    assert repr(f"{mark}: ") in message


@pytest.mark.parametrize("heading", opening.ENDS)
def test_a_section_that_is_missing_is_named(findings, heading):
    ((_, message),) = findings(BEGINNING, ENDING.replace(heading, "Something".ljust(len(heading))))
    assert repr(heading) in message


def test_exercises_without_an_answer_are_named(findings):
    ((line, message),) = findings(BEGINNING, ENDING.replace("# Answer:", "# Look:"))
    assert "# Answer: " in message
    assert line == 19


def test_folded_cells_take_no_time_to_read(tmp_path):
    script = tmp_path / "page.py"
    code = "x = 1\n" * 100
    script.write_text(f'"""\n{BEGINNING}"""\n\n{code}', encoding="utf-8")
    shown = opening.reading_minutes(pages.cells_of(script))
    script.write_text(f'"""\n{BEGINNING}"""\n\n# Guard: none\n{code}', encoding="utf-8")
    assert (shown, opening.reading_minutes(pages.cells_of(script))) == (4, 1)
