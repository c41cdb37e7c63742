"""Pages follow each other in reading order, and machines find and read them without HTML."""

import itertools
import xml.etree.ElementTree as ET

import discovery
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
    names = discovery.reading_order(RELATIONS, "index")
    assert names == ["index", "gallery/index", "gallery/small/one", "gallery/export/two"]
    for before, after in itertools.pairwise(names):
        assert discovery.neighbour(names, before, discovery.NEXT) == after
        assert discovery.neighbour(names, after, discovery.PREVIOUS) == before
    assert discovery.neighbour(names, names[0], discovery.PREVIOUS) is None
    assert discovery.neighbour(names, names[-1], discovery.NEXT) is None


def test_the_page_that_runs_the_model_follows_the_one_that_made_it(monkeypatch):
    monkeypatch.setattr(discovery, "CONTINUES", {"gallery/export/two": "gallery/index"})
    names = discovery.reading_order(RELATIONS, "index")
    assert names == ["index", "gallery/index", "gallery/export/two", "gallery/small/one"]


def test_what_follows_a_page_is_there():
    for moved, before in discovery.CONTINUES.items():
        assert (project.DOCS / f"{moved}.rst").exists()
        assert (project.EXAMPLES / before.removeprefix("gallery/")).with_suffix(".py").exists()


def test_a_page_that_nothing_leads_to_has_no_neighbours():
    assert (
        discovery.neighbour(discovery.reading_order(RELATIONS, "index"), "search", discovery.NEXT)
        is None
    )


def test_pages_are_read_section_by_section():
    pages = [project.docname(page) for page in project.in_reading_order()]
    assert sorted(pages) == sorted(map(project.docname, project.scripts()))
    sections = list(dict.fromkeys(page.partition("/")[0] for page in pages))
    assert tuple(sections) == project.SECTIONS
    assert pages[0] == "quantization/plot_10_train_word_language_model"


def test_a_title_is_the_first_line_of_the_docstring():
    assert (
        project.title(project.in_reading_order()[0])
        == "Train an LSTM word language model in PyTorch"
    )


def test_a_table_becomes_lines():
    html = "<p>Before</p><table><tr><th>a</th><td>1 &lt; 2</td></tr></table>\n<pre>x\ny</pre>"
    assert discovery.text_of(html) == "Before\na | 1 < 2\nx y"


def test_tags_alone_are_no_text():
    assert discovery.text_of('<details class="x"><div></div>') == ""


def test_what_stands_in_boxes_of_its_own_is_parted():
    assert discovery.text_of("<span>built</span><span>186 of 189</span>") == "built 186 of 189"
    assert discovery.text_of("<button>Load</button><button>Write</button>") == "Load\nWrite"
    assert discovery.text_of("a <em>b</em>, c") == "a b, c"


def test_scripts_are_no_text():
    assert discovery.text_of("<p>a</p><script>if (1 < 2) b()</script> c") == "a c"


def test_every_document_is_listed_once_under_a_heading():
    about = {"index": "Start", "gallery/small/one": "One\nhow to begin", "api/name": "Name"}
    text = discovery.llms("Smallport", "https://example.org", about)
    for line in (
        "- [One](https://example.org/gallery/small/one.txt): how to begin",
        "- [Name](https://example.org/api/name.txt)",
        "- [Start](https://example.org/index.txt)",
    ):
        assert text.count(line) == 1
    assert text.index("## Tutorials") < text.index("## API") < text.index("## About")


def test_a_sitemap_is_xml_with_whole_addresses():
    tree = ET.fromstring(discovery.sitemap("https://example.org", ["index", "a&b"]))
    addresses = [element.text for element in tree.iter() if element.text and element.text.strip()]
    assert addresses == ["https://example.org/index.html", "https://example.org/a&b.html"]
