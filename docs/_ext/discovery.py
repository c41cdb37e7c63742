"""Lead readers from page to page in reading order, and help machines to find the pages.

Each page has its neighbours in reading order, past the indexes of sections, and its plain text
next to it. ``llms.txt`` and ``sitemap.xml`` list all pages; the sitemap needs whole addresses and
is left out where the site has none.
"""

import os
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from docutils import nodes
from sphinx.application import Sphinx

import provenance
from smallport import files
from tools.gallery import settings
from tools.lint import opening

PREVIOUS, NEXT = 1, 2
"""The place of each neighbour in what Sphinx stores of a document, after its parent."""

CONTINUES = {"in_the_page": "gallery/quantization/plot_42_quantize_an_onnx_file"}
"""Documents outside of the gallery that continue one of its pages."""

LISTED = (("Tutorials", "gallery/"), ("API", "api"), ("About", ""))
"""The sections of ``llms.txt``, each with how the names of its documents begin."""


def is_section_index(docname: str) -> bool:
    """Tell whether a document only lists the pages of a section of the gallery.

    Examples
    --------
    >>> is_section_index("gallery/export/index"), is_section_index("gallery/index")
    (True, False)
    """
    return docname.startswith("gallery/") and docname.endswith("/index") and docname.count("/") > 1


def reading_order(relations: dict[str, list[str | None]], root: str) -> list[str]:
    """List the documents in the order in which they are read, section indexes left out.

    Parameters
    ----------
    relations
        The parent, the previous and the next document of each, as Sphinx has them.
    root
        The first document.
    """
    names = []
    name: str | None = root
    while name:
        names.append(name)
        name = relations[name][NEXT]
    for moved, before in CONTINUES.items():
        if {moved, before} <= set(names):
            names.remove(moved)
            names.insert(names.index(before) + 1, moved)
    return [name for name in names if not is_section_index(name)]


def neighbour(names: list[str], docname: str, way: int) -> str | None:
    """Find the document before or after another in reading order."""
    if docname not in names:
        return None
    place = names.index(docname) + (1 if way == NEXT else -1)
    return names[place] if 0 <= place < len(names) else None


def set_neighbours(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Have a page name its neighbours in reading order."""
    relations = app.builder.relations  # type: ignore[attr-defined]
    names = reading_order(relations, app.config.root_doc) if relations else []
    for name, way in (("prev", PREVIOUS), ("next", NEXT)):
        other = neighbour(names, pagename, way)
        context[name] = other and {
            "link": app.builder.get_relative_uri(pagename, other),
            "title": app.builder.render_partial(app.env.titles[other])["title"],  # type: ignore[attr-defined]
        }


class Lines(HTMLParser):
    """Reads HTML as lines of text: a row of a table is a line."""

    BREAKS = frozenset(
        {"tr", "p", "li", "div", "dt", "dd", "summary", "pre", "figcaption", "caption"}
        | {"br", "button", "output", "label", "fieldset"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.lines = [""]
        self.is_code = False

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - its signature
        """Begin a line with a row or a paragraph, and part cells."""
        self.is_code = tag == "script"
        if tag in self.BREAKS:
            self.lines.append("")
        elif tag in {"td", "th"} and self.lines[-1]:
            self.lines[-1] += " | "

    def handle_data(self, data: str) -> None:
        """Take in what is to be read."""
        self.lines[-1] += "" if self.is_code else data

    def handle_endtag(self, tag: str) -> None:
        """Part what the page shows in boxes of their own."""
        self.is_code = False
        if tag == "span":
            self.lines[-1] += " "


def text_of(html: str) -> str:
    """Write HTML as plain text.

    Examples
    --------
    >>> print(text_of("<table><tr><th>route</th><th>MB</th></tr><tr><td>int8</td><td>3</td></tr>"))
    route | MB
    int8 | 3
    """
    reader = Lines()
    reader.feed(html)
    lines = (" ".join(line.split()) for line in reader.lines)
    return "\n".join(line for line in lines if line)


def write_text(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    """Write the plain text of a document next to its page, from what its page is written from."""
    if doctree is None or app.builder.name != "html":
        return
    text = doctree.deepcopy()
    for node in [node for node in text.findall(nodes.Element) if is_html(node)]:
        shown = text_of(node.astext()) if isinstance(node, nodes.raw) else node.astext()
        node.replace_self(nodes.literal_block(shown, shown) if shown else [])
    for node in [node for node in text.findall(nodes.Element) if is_tab(node)]:
        shown = node.astext()
        node.parent.replace(node, nodes.paragraph(shown, shown) if shown else [])
    builder = app.registry.create_builder(app, "text", app.env)
    builder.init()
    builder.write_doc(pagename, text)


def is_html(node: nodes.Element) -> bool:
    """Tell whether a node is HTML, or a cell with links, which the gallery writes as HTML only."""
    return isinstance(node, nodes.raw) or node.__class__.__name__ == "code_links_block"


def is_tab(node: nodes.Element) -> bool:
    """Tell whether a node is the switch or the label of a tab, which text has no form for."""
    return node.__class__.__name__ in ("sd_tab_input", "sd_tab_label")


def write_lists(app: Sphinx, exception: Exception | None) -> None:
    """Write ``llms.txt``, and ``sitemap.xml`` where the site's address is known."""
    if exception is not None or app.builder.name != "html":
        return
    site = os.environ.get(settings.SITE_URL, "").rstrip("/")
    pages = reading_order(app.env.collect_relations(), app.config.root_doc)
    about = {name: described(app, name) for name in pages}
    text = llms(app.config.project, site, about)
    files.write_text(Path(app.outdir) / "llms.txt", text)
    if site:
        files.write_text(Path(app.outdir) / "sitemap.xml", sitemap(site, pages))


def described(app: Sphinx, docname: str) -> str:
    """Write a document's title, and what one learns from it where it says so."""
    title = app.env.titles[docname].astext()
    script = provenance.script_of(docname)
    text = script.read_text(encoding="utf-8") if script else ""
    learned = provenance.without_markup(opening.opening_of(text).learned)
    return f"{title}\n{learned}".strip()


def llms(project: str, site: str, about: dict[str, str]) -> str:
    r"""Write ``llms.txt``: what there is to read, as plain text.

    Parameters
    ----------
    project
        The name of the project.
    site
        The address of the site; empty for links that are relative.
    about
        By document, its title and, on another line, what one learns from it.

    Examples
    --------
    >>> print(llms("Smallport", "", {"gallery/small/page": "A page\nhow to read"}))
    # Smallport
    <BLANKLINE>
    > Executed tutorials that make small PyTorch language models smaller and portable.
    <BLANKLINE>
    ## Tutorials
    <BLANKLINE>
    - [A page](gallery/small/page.txt): how to read
    <BLANKLINE>
    """
    start = f"{site}/" if site else ""
    lines = [
        f"# {project}",
        "",
        "> Executed tutorials that make small PyTorch language models smaller and portable.",
        "",
    ]
    left = dict(about)
    for heading, prefix in LISTED:
        chosen = [name for name in left if name.startswith(prefix)]
        if chosen:
            lines += [f"## {heading}", ""]
        for name in chosen:
            title, _, learned = left.pop(name).partition("\n")
            lines.append(f"- [{title}]({start}{name}.txt)" + (f": {learned}" if learned else ""))
        lines += [""] if chosen else []
    return "\n".join(lines)


def sitemap(site: str, pages: list[str]) -> str:
    """Write a sitemap.

    Examples
    --------
    >>> print(sitemap("https://example.org", ["index"]))
    <?xml version="1.0" encoding="utf-8"?>
    <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
    <url><loc>https://example.org/index.html</loc></url>
    </urlset>
    """
    return "\n".join(_sitemap_lines(site, pages))


def _sitemap_lines(site: str, pages: list[str]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    for page in pages:
        yield f"<url><loc>{escape(f'{site}/{page}.html')}</loc></url>"
    yield "</urlset>"


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the making of each page and to the end of the build."""
    app.connect("html-page-context", set_neighbours)
    app.connect("html-page-context", write_text, priority=900)
    app.connect("build-finished", write_lists)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
