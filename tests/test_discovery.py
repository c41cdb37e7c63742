"""Machines find the pages, and read them without HTML."""

import xml.etree.ElementTree as ET
from types import SimpleNamespace

import discovery

RELATIONS = {
    "index": [None, None, "gallery/small/index"],
    "gallery/small/index": ["index", "index", "gallery/small/one"],
    "gallery/small/one": ["gallery/small/index", "gallery/small/index", "api"],
    "api": ["index", "gallery/small/one", None],
    "404": [None, None, None],
}


def test_a_table_becomes_lines():
    html = "<p>Before</p><table><tr><th>a</th><td>1 &lt; 2</td></tr></table>\n<pre>x\ny</pre>"
    assert discovery.text_of(html) == "Before\na | 1 < 2\nx y"


def test_tags_alone_are_no_text():
    assert discovery.text_of('<details class="x"><div></div>') == ""


def test_documents_are_listed_in_reading_order():
    env = SimpleNamespace(collect_relations=lambda: RELATIONS)
    app = SimpleNamespace(env=env, config=SimpleNamespace(root_doc="index"))
    assert discovery.reading_order(app) == ["index", "gallery/small/one", "api"]


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
