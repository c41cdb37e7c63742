"""The results page has the order of the gallery, and says why a published figure is another."""

import itertools
from types import SimpleNamespace

import pytest

import measured
from smallport.records import Result
from tools.gallery import project

PUBLISHED = measured.Published("113.944 MB", 113.944, "Another name.", "https://example.org")


def test_a_figure_that_differs_says_why():
    text = PUBLISHED.beside(Result("size", 113.9454, "MB"))
    assert "https://example.org" in text
    assert text.endswith("Another name.")


def test_a_figure_that_agrees_needs_no_reason():
    assert "Another name" not in PUBLISHED.beside(Result("size", 113.9441, "MB"))


def test_every_published_figure_has_its_number_in_its_words():
    for figure in measured.published_figures().values():
        assert f"{figure.number:g}" in figure.value
        assert figure.why.endswith(".")


@pytest.fixture
def lines(monkeypatch):
    """Give what the directive writes where every page measured one thing."""
    result = Result("int8 size, to float32", 0.7, "", at_most=0.71)
    monkeypatch.setattr(measured, "measured", lambda _: {result.name: result})
    return measured.Measured.everything(SimpleNamespace())


def test_pages_stand_under_headings_in_the_order_of_the_gallery(lines):
    headings = [line for line, under in itertools.pairwise(lines) if set(under) == {"^"}]
    assert headings == [
        f":doc:`{project.title(page)} </gallery/{project.docname(page)}>`"
        for page in project.in_reading_order()
    ]


def test_numbers_are_written_as_people_do(lines):
    text = "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")
    assert "30 % smaller" in text
    assert "at least 29 % smaller" in text
