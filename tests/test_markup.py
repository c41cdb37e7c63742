"""Tests of what is added to the HTML of a page."""

from markup import completed

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


def test_header_cells_say_what_they_are_the_header_of():
    html = completed(TABLE.format(caption="Sizes"))
    assert html.count('<th scope="col" class="head') == 2
    assert html.count('<th scope="row" class="stub"') == 1
    assert html.count("<th ") == 3


def test_the_box_of_a_table_is_a_region_that_is_named_by_the_caption():
    html = completed(TABLE.format(caption='Sizes <em>of</em> the\n"layers"'))
    box = 'role="region" aria-label="Sizes of the &quot;layers&quot;" tabindex="0"'
    assert html.startswith(
        f'<div class="pst-scrollable-table-container" {box}><table class="table">'
    )


def test_a_table_without_a_caption_is_no_region():
    body = '<div class="pst-scrollable-table-container"><table class="table">\n<thead>'
    assert completed(body) == body


def test_links_in_code_are_no_stops_and_others_are():
    code = '<pre><a class="sphx-glr-backref-module-torch reference" href="#">torch</a></pre>'
    text = '<p><a class="reference internal" href="#">torch</a></p>'
    assert completed(code + text) == code.replace("<a ", '<a tabindex="-1" ') + text
