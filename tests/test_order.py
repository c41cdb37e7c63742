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
    names = ["index"]
    while following := order.neighbour(RELATIONS, names[-1], order.NEXT):
        names.append(following)
    assert names == ["index", "gallery/index", "gallery/small/one", "gallery/export/two"]
    for before, after in itertools.pairwise(names):
        assert order.neighbour(RELATIONS, after, order.PREVIOUS) == before


def test_a_page_that_nothing_leads_to_has_no_neighbours():
    assert order.neighbour(RELATIONS, "search", order.NEXT) is None


def test_pages_are_read_section_by_section():
    pages = [project.docname(page) for page in project.in_reading_order()]
    assert sorted(pages) == sorted(map(project.docname, project.scripts()))
    sections = list(dict.fromkeys(page.partition("/")[0] for page in pages))
    assert tuple(sections) == project.SECTIONS
    assert pages[0] == "quantization/plot_10_train_word_language_model"


def test_a_title_is_the_first_line_of_the_docstring():
    assert project.title(project.in_reading_order()[0]) == "Train a word language model"
