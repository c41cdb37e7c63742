"""Help machines to find the pages: their plain text, ``llms.txt``, and ``sitemap.xml``.

The sitemap wants whole addresses and is left out where the site's address is not known.
"""

import os
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.sax.saxutils import escape

from docutils import nodes
from sphinx.application import Sphinx

import order
import provenance
from smallport import files
from tools.gallery import settings
from tools.lint import opening

LISTED = (("Tutorials", "gallery/"), ("API", "api"), ("About", ""))
"""The sections of ``llms.txt``, each with how the names of its documents begin."""


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


def write_texts(app: Sphinx, exception: Exception | None) -> None:
    """Write the plain text of every document beside its page."""
    if exception is not None or app.builder.name != "html":
        return
    builder = app.registry.create_builder(app, "text", app.env)
    builder.init()
    builder.prepare_writing(set(app.env.found_docs))
    for docname in sorted(app.env.found_docs):
        doctree = app.env.get_and_resolve_doctree(docname, builder)
        for code in list(doctree.findall(links_in_code)):
            code.replace_self(nodes.literal_block(code.astext(), code.astext()))
        for raw in list(doctree.findall(nodes.raw)):
            text = text_of(raw.astext()) if raw.get("format") == "html" else ""
            raw.replace_self(nodes.literal_block(text, text) if text else [])
        builder.write_doc(docname, doctree)


def links_in_code(node: nodes.Node) -> bool:
    """Tell whether a node is a cell with links, which the gallery writes as HTML only."""
    return node.__class__.__name__ == "code_links_block"


def write_lists(app: Sphinx, exception: Exception | None) -> None:
    """Write ``llms.txt``, and ``sitemap.xml`` where the site's address is known."""
    if exception is not None or app.builder.name != "html":
        return
    site = os.environ.get(settings.SITE_URL, "").rstrip("/")
    pages = order.reading_order(app.env.collect_relations(), app.config.root_doc)
    about = {name: described(app, name) for name in pages}
    text = llms(app.config.project, site, about)
    files.write_text(Path(app.outdir) / "llms.txt", text)
    if site:
        files.write_text(Path(app.outdir) / "sitemap.xml", sitemap(site, pages))


def described(app: Sphinx, docname: str) -> str:
    """Write a document's title, and what one learns from it where it says so."""
    title = app.env.titles[docname].astext()
    script = provenance.script_of(docname)
    learned = opening.learned(script.read_text(encoding="utf-8")) if script else ""
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
    """Connect to the end of the build."""
    app.connect("build-finished", write_texts)
    app.connect("build-finished", write_lists)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
