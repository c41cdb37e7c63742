"""Pages work with a keyboard and assistive technology; code that only draws is folded."""

import pytest
from bs4 import BeautifulSoup
from docutils import nodes

import accessible

NAVIGATION = "<ul><li><a>Export</a><details><summary><i></i></summary></details></li></ul>"

TABLE = """<div class="pst-scrollable-table-container"><table class="table">
<caption><span class="caption-text">{caption}</span><a class="headerlink" href="#x">#</a></caption>
<thead>
<tr class="row-odd"><th class="head stub"><p>layer</p></th>
<th class="head"><p>MB</p></th>
</tr>
</thead>
<tbody>
<tr class="row-even"><th class="stub"><p>LSTM</p></th>
<td><p>3</p></td>
"""


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


def test_header_cells_say_what_they_are_the_header_of():
    html = accessible.completed(TABLE.format(caption="Sizes"))
    assert html.count('<th scope="col" class="head') == 2
    assert html.count('<th scope="row" class="stub"') == 1
    assert html.count("<th ") == 3


def test_the_box_of_a_table_is_a_region_that_is_named_by_the_caption():
    html = accessible.completed(TABLE.format(caption='Sizes <em>of</em> the\n"layers"'))
    box = 'role="region" aria-label="Sizes of the &quot;layers&quot;" tabindex="0"'
    assert html.startswith(
        f'<div class="pst-scrollable-table-container" {box}><table class="table">'
    )


def test_a_table_without_a_caption_is_no_region():
    body = '<div class="pst-scrollable-table-container"><table class="table">\n<thead>'
    assert accessible.completed(body) == body


def test_links_in_code_are_no_stops_and_others_are():
    code = '<pre><a class="sphx-glr-backref-module-torch reference" href="#">torch</a></pre>'
    text = '<p><a class="reference internal" href="#">torch</a></p>'
    assert accessible.completed(code + text) == code.replace("<a ", '<a tabindex="-1" ') + text


def code(text):
    return nodes.literal_block(text, text)


def cell(*children):
    return [nodes.comment("", f"{accessible.CELL} LINES 1-2"), *children]


def shown(document):
    return [child.astext() for child in document.children if not isinstance(child, nodes.comment)]


def test_the_code_of_a_figure_is_folded_and_the_figure_is_not():
    document = nodes.section()
    document += cell(code("print(1)"))
    document += cell(code("\n# Drawing: bars that fall\nplt.show()"), nodes.paragraph("", "figure"))
    accessible.fold(None, document)
    plain, opening, drawn, closing, figure = shown(document)
    assert plain == "print(1)"
    assert opening.startswith("<details")
    assert "<summary>" in opening
    assert "Drawing" in drawn
    assert closing == "</details>"
    assert figure == "figure"


@pytest.mark.parametrize("mark", ["Answer", "Guard"])
def test_an_answer_and_a_guard_are_folded_with_their_output(mark):
    document = nodes.section()
    document += cell(code(f"# {mark}: one\nprint(1)"), nodes.paragraph("", "1"))
    document += cell(nodes.paragraph("", "text"))
    accessible.fold(None, document)
    opening, _, output, closing, text = shown(document)
    assert f"smallport-{mark.lower()}" in opening
    assert (output, closing, text) == ("1", "</details>", "text")


def test_what_is_folded_ends_with_its_section():
    document = nodes.section()
    document += [*cell(code("# Answer: one\nprint(1)")), nodes.section("", nodes.title("", "next"))]
    accessible.fold(None, document)
    assert shown(document)[-2:] == ["</details>", "next"]
