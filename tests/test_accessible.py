"""Test what is repaired in pages for assistive technology."""

from bs4 import BeautifulSoup

import accessible

NAVIGATION = "<ul><li><a>Export</a><details><summary><i></i></summary></details></li></ul>"


def navigation(html=NAVIGATION):
    return BeautifulSoup(html, "html.parser")


def test_a_section_of_the_navigation_is_named_after_its_link():
    write = accessible.with_names(navigation)
    assert write().summary["aria-label"] == "Pages of Export"


def test_a_name_that_is_there_stays():
    named = navigation(NAVIGATION.replace("<i></i>", "<i></i>All of it"))
    accessible.name_sections(named)
    assert "aria-label" not in named.summary.attrs


def test_a_page_without_navigation_has_nothing_to_name():
    assert accessible.with_names(lambda: "")() == ""


def test_a_list_in_a_list_goes_into_the_item_before_it():
    body = "<ul><li>a</li><ul><li>a.b</li><ul><li>a.b.c</li></ul></ul><li>d</li></ul>"
    assert accessible.with_nested_lists(body) == (
        "<ul><li>a<ul><li>a.b<ul><li>a.b.c</li></ul></li></ul></li><li>d</li></ul>"
    )
