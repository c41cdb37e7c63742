"""Pages follow each other in reading order, past the indexes of sections."""

import itertools

import order
from tools.gallery import project

RELATIONS = {
    "index": [None, None, "gallery/index"],
    "gallery/index": ["index", "index", "gallery/small/index"],
    "gallery/small/index": ["gallery/index", "gallery/index", "gallery/small/one"],
    "gallery/small/one": ["gallery/small/index", "gallery/small/index", "gallery/export/index"],
    "gallery/export/index": ["gallery/index", "gallery/small/one", "gallery/export/two"],
    "gallery/export/two": ["gallery/export/index", "gallery/export/index", None],
}


def test_section_indexes_are_passed_in_both_directions():
    names = order.reading_order(RELATIONS, "index")
    assert names == ["index", "gallery/index", "gallery/small/one", "gallery/export/two"]
    for before, after in itertools.pairwise(names):
        assert order.neighbour(names, before, order.NEXT) == after
        assert order.neighbour(names, after, order.PREVIOUS) == before
    assert order.neighbour(names, names[0], order.PREVIOUS) is None
    assert order.neighbour(names, names[-1], order.NEXT) is None


def test_the_page_that_runs_the_model_follows_the_one_that_made_it(monkeypatch):
    monkeypatch.setattr(order, "READ_AFTER", {"gallery/export/two": "gallery/index"})
    names = order.reading_order(RELATIONS, "index")
    assert names == ["index", "gallery/index", "gallery/export/two", "gallery/small/one"]


def test_what_follows_a_page_is_there():
    for moved, before in order.READ_AFTER.items():
        assert (project.DOCS / f"{moved}.rst").exists()
        assert (project.EXAMPLES / before.removeprefix("gallery/")).with_suffix(".py").exists()


def test_a_page_that_nothing_leads_to_has_no_neighbours():
    assert order.neighbour(order.reading_order(RELATIONS, "index"), "search", order.NEXT) is None


def test_pages_are_read_section_by_section():
    pages = [project.docname(page) for page in project.in_reading_order()]
    assert sorted(pages) == sorted(map(project.docname, project.scripts()))
    sections = list(dict.fromkeys(page.partition("/")[0] for page in pages))
    assert tuple(sections) == project.SECTIONS
    assert pages[0] == "quantization/plot_10_train_word_language_model"


def test_a_title_is_the_first_line_of_the_docstring():
    assert project.title(project.in_reading_order()[0]) == "Train a word language model"
