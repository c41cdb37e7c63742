"""Pages are chosen so that what is built differently anywhere is looked at."""

import pytest

from tools.site import structure

SOUND = """<html lang="en"><body><main class="bd-main"><h1 id="a">A page</h1>
<section><p>Some <a href="x.html">words</a>.</p><img src="x.png" alt="A drawing"></section>
<ul><li><ul><li>deep</li></ul></li></ul></main></body></html>
"""
ALIKE = {
    "words": ("words", "others"),
    "addresses": ("x.html", "y.html"),
    "an id": ('id="a"', 'id="b"'),
    "data": ("<p>", '<p data-line="3">'),
    "a paragraph more": ("<p>", "<p>One more.</p><p>"),
    "a list in a list": ("deep", "deep<ul><li>deeper</li></ul>"),
    "a comment": ("<p>", "<!-- <b> --><p>"),
}
FAULTS = {
    "an empty link": ("words", ""),
    "a lack of an alternative text": ('alt="A drawing"', ""),
    "an empty alternative text": ("A drawing", ""),
    "a style": ("<p>", "<p style='color: #777'>"),
    "a class": ("<p>", '<p class="faint">'),
    "a role": ("<ul>", '<ul role="menu">'),
    "an element": ("words</a>", "words</a><button></button>"),
    "a known element elsewhere": ("<h1", '<img src="x.png" alt="A drawing"><h1'),
    "a language": ('lang="en"', ""),
    "an id twice": ("<section>", '<section id="a">'),
    "a label of nothing": ("<section>", '<section aria-labelledby="b">'),
}


@pytest.mark.parametrize("change", ALIKE)
def test_pages_of_one_structure_have_one_representative(change):
    pages = {f"{number}": SOUND for number in range(3)}
    assert structure.representatives(pages | {"3": SOUND.replace(*ALIKE[change])}) == ["0"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_page_with_a_structure_of_its_own_is_chosen(fault):
    changed = SOUND.replace(*FAULTS[fault])
    assert changed != SOUND
    pages = {f"{number}": SOUND for number in range(3)}
    assert "3" in structure.representatives(pages | {"3": changed})


def test_every_structure_is_on_a_chosen_page():
    parts = [f'<div class="{name}"><p>x</p></div>' for name in "abcdef"]
    pages = {
        f"{first}{second}": one + other
        for first, one in enumerate(parts)
        for second, other in enumerate(parts)
    }
    chosen = structure.representatives(pages)
    assert len(chosen) == 3
    assert {one for name in chosen for one in structure.structures(pages[name])} == {
        one for page in pages.values() for one in structure.structures(page)
    }
