"""Machines find the pages, and read them without HTML."""

import xml.etree.ElementTree as ET

import discovery


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
