"""Cells that only draw say what is to be seen, and do nothing else."""

import pytest

from tools.gallery import project
from tools.lint import drawing
from tools.lint.pages import Cell

SAID = "# Drawing: bars that fall from left to right, one for each layer\n"


def found(*codes):
    """Say what is wrong with the cells of a page."""
    cells = [Cell("code", 1, tuple(code.splitlines())) for code in codes]
    script = project.EXAMPLES / "folder" / "page.py"
    return [(one.line, one.message) for one in drawing.findings(script, cells)]


def test_a_description_may_take_several_lines():
    code = "\n# Drawing: bars that fall\n# from left to right\nplt.show()\n# no more\n"
    assert drawing.described(code) == "bars that fall from left to right"


@pytest.mark.parametrize("code", ["plt.show()", "x = 1  # Drawing: no", "# drawing: no", ""])
def test_other_cells_have_no_description(code):
    assert drawing.described(code) is None


def test_a_cell_that_only_draws_is_right():
    assert found(SAID + "figure, axes = plt.subplots()\naxes.bar(0, 1)", 'plt.close("all")') == []


def test_a_cell_that_draws_says_so():
    ((line, message),) = found("x = 1\nplt.show()")
    assert line == 2
    assert "# Drawing: " in message


@pytest.mark.parametrize("described", ["Size by layer", "", "bars"])
def test_a_description_says_more_than_a_title(described):
    ((line, message),) = found(f'# Drawing: {described}\naxes.set_title("Size by layer")')
    assert line == 1
    assert "says too little" in message


def test_a_description_is_not_the_title():
    title = "one two three four five six seven eight"
    assert found(f'# Drawing: {title}.\naxes.set_title("{title}")')


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("assert total > 0", "assert"),
        ('check("size", 1, at_most=2)', "check"),
        ('report("size", 1)', "report"),
        ("print(total)", "print"),
        ("show_table(frame)", "show_table"),
    ],
)
def test_nothing_that_readers_have_to_see_is_folded(code, word):
    ((line, message),) = found(f"{SAID}{code}")
    assert line == 2
    assert word in message


def test_no_cell_hangs_on_a_folded_one():
    ((_, message),) = found(SAID + "heights = [1, 2]", "print(heights)")
    assert "'heights'" in message


@pytest.mark.parametrize("code", ["heights = []\nprint(heights)", "lambda heights: heights"])
def test_a_name_may_be_used_anew(code):
    assert found(SAID + "heights = [1, 2]", code) == []


def test_a_folded_cell_may_use_another():
    assert found(SAID + "def draw():\n    plt.show()", SAID + "draw()") == []


def test_what_a_folded_answer_or_guard_defines_is_not_used_outside():
    guard = "# Guard: against a clock that stands\nclock = 3"
    ((_, message),) = found(guard, "print(clock)")
    assert "'clock' of the folded cell" in message
    assert found(guard, "# Answer: three\nprint(clock)") == []


@pytest.mark.parametrize("mark", ["Answer", "Guard"])
def test_an_answer_says_what_it_shows_and_draws_in_another_cell(mark):
    ((_, message),) = found(f"# {mark}:\nx = 1")
    assert "says nothing" in message
    ((_, message),) = found(f"# {mark}: against a figure\nplt.plot([1])")
    assert "# Drawing: " in message


def test_a_guard_says_against_what_it_is():
    ((line, message),) = found("# Guard: the clock\nassert True")
    assert line == 1
    assert "against" in message
