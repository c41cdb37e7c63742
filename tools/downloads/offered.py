"""Read what a built site offers for download, and what its pages promise about that."""

import json
import re
import tomllib
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

LINK = re.compile(r'href="([^"]*(?:/_downloads/[^"]+|\.whl))"')
METADATA = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""The expression by which PEP 723 has a script's metadata read."""

INSTALL = re.compile(r"^%pip install -q (?P<arguments>.+)$", re.MULTILINE)


class OfferError(Exception):
    """What the site should offer and does not, and on which page."""


@dataclass(frozen=True)
class Page:
    """A page with its downloads.

    Parameters
    ----------
    name
        Of the page, without an ending.
    section
        The folder of the gallery that it is in.
    script, notebook, archive
        The downloads.
    beside
        What the page says has to lie beside them: the wheel, where the site has no address.
    results
        What the page measured, by name, as the site's ``provenance.json`` has it.
    printed
        What its cells printed, one text a cell.
    seconds
        How long the page took.
    """

    name: str
    section: str
    script: Path
    notebook: Path
    archive: Path
    beside: tuple[Path, ...]
    results: dict[str, dict[str, Any]]
    printed: list[str]
    seconds: float


class Outputs(HTMLParser):
    """Reads what the cells of a page printed."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.waiting = self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a text where an output does."""
        if "sphx-glr-script-out" in (dict(attrs).get("class") or ""):
            self.waiting = True
        elif tag == "pre" and self.waiting:
            self.waiting, self.inside = False, True
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        """End a text where its output does."""
        self.inside = self.inside and tag != "pre"

    def handle_data(self, data: str) -> None:
        """Take in a part of an output."""
        if self.inside:
            self.texts[-1] += data


def printed_in(html: str) -> list[str]:
    """Read what the cells of a page printed.

    Examples
    --------
    >>> printed_in('<div class="sphx-glr-script-out"><pre>3 <b>MB</b></pre></div><pre>code</pre>')
    ['3 MB']
    """
    reader = Outputs()
    reader.feed(html)
    return reader.texts


def pages(site: Path) -> list[Page]:
    """List the pages of a site with all that they offer.

    Raises
    ------
    OfferError
        When a page does not offer a script, a notebook or an archive, or links to none.
    """
    provenance = json.loads((site / "provenance.json").read_text(encoding="utf-8"))
    return [page(site, name, run) for name, run in provenance["pages"].items()]


def page(site: Path, name: str, run: dict[str, Any]) -> Page:
    """Read one page with all that it offers."""
    html = (site / "gallery" / name).with_suffix(".html")
    content = html.read_text(encoding="utf-8")
    links = {
        (html.parent / unquote(link)).resolve()
        for link in LINK.findall(content)
        if "://" not in link
    }
    if dead := sorted(str(link.relative_to(site.resolve())) for link in links if not link.exists()):
        raise OfferError(f"{name}: links to {dead[0]}, which the site does not have")
    offered = {link.suffix: link for link in links if link.stem == html.stem}
    if missing := {".py", ".ipynb", ".zip"} - offered.keys():
        raise OfferError(f"{name}: offers no {min(missing)} file")
    return Page(
        name=html.stem,
        section=html.parent.name,
        script=offered[".py"],
        notebook=offered[".ipynb"],
        archive=offered[".zip"],
        beside=tuple(link for link in links if link.suffix == ".whl"),
        results={result["name"]: result for result in run["results"]},
        printed=printed_in(content),
        seconds=run["seconds"],
    )


def required_by_script(script: str) -> list[str]:
    """List what a script's inline metadata says that it needs.

    Raises
    ------
    OfferError
        When it has none.
    """
    found = METADATA.search(script)
    if found is None:
        raise OfferError("begins with no metadata (PEP 723)")
    lines = found["content"].splitlines(keepends=True)
    metadata = tomllib.loads("".join(line[2:] if line[1:2] == " " else line[1:] for line in lines))
    return sorted(metadata["dependencies"])


def installed_by_notebook(notebook: dict[str, Any]) -> str:
    """Read the arguments of pip in a notebook's first cell.

    Raises
    ------
    OfferError
        When the first cell installs nothing.
    """
    first = notebook["cells"][0]
    found = INSTALL.search("".join(first["source"])) if first["cell_type"] == "code" else None
    if found is None:
        raise OfferError("its first cell installs nothing")
    return found["arguments"]
