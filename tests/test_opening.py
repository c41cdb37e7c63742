"""A page says what one learns from it."""

import pytest

from tools.gallery import project
from tools.lint import opening
from tools.lint import pages as page_rules


def page(ending):
    return f'"""\nTitle\n=====\n\nAn introduction.\n{ending}"""\n\nimport this\n'


def test_what_one_learns_is_read_over_several_lines():
    text = page("\nWhat you will learn: how a page\nopens, and why.\n")
    assert opening.learned(text) == "how a page opens, and why."


@pytest.mark.parametrize("ending", ["", "\nYou will learn much.\n", "\nWhat you will learn:\n"])
def test_nothing_is_learned_from_other_words(ending):
    assert opening.learned(page(ending)) == ""


def test_a_comment_is_not_the_docstring():
    assert opening.learned(page("") + "# What you will learn: nothing\n") == ""


def test_every_page_says_it():
    pages = {page: page.read_text(encoding="utf-8") for page in project.scripts()}
    assert pages
    assert not [
        page for page, text in pages.items() if list(page_rules.nothing_learned(page, text))
    ]
