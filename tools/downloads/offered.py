"""Read the downloads of a built site, and the results and outputs of its pages."""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bs4 import BeautifulSoup

LINK = re.compile(r'href="([^"]*(?:/_downloads/[^"]+|\.whl))"')
METADATA = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""The expression by which PEP 723 has a script's metadata read."""

PRINTED = ".sphx-glr-script-out pre"
TABLE = "table:"
"""The beginning of the text of a table."""

INSTALL = re.compile(r"^%pip install -q (?P<arguments>.+)$", re.MULTILINE)


class OfferError(Exception):
    """The site does not offer a download; the message names it and the page."""


@dataclass(frozen=True)
class Downloads:
    """The downloads of a page.

    Parameters
    ----------
    name
        Of the page, without an ending.
    section
        The folder of the gallery that it is in.
    script, notebook, archive
        The downloads.
    beside
        The files that have to be next to them: the wheel, where the site has no address.
    results
        The results of the page, by name, as the site's ``provenance.json`` has them.
    outputs
        The outputs of its cells in order: what they printed, and the tables that they showed.
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
    outputs: list[str]
    seconds: float

    @property
    def printed(self) -> list[str]:
        """The outputs without the tables."""
        return [text for text in self.outputs if not text.startswith(TABLE)]


def outputs_in(page: str) -> list[str]:
    """Read the outputs of a page's cells.

    Examples
    --------
    >>> outputs_in('<div class="sphx-glr-script-out"><pre>3 <b>MB</b></pre></div><pre>code</pre>')
    ['3 MB']
    """
    found = BeautifulSoup(page, "html.parser").select(f"{PRINTED}, .output_html")
    return [one.text if one.name == "pre" else table_text(str(one)) for one in found]


def table_text(table: str) -> str:
    r"""Write what a table in HTML shows, a cell a line.

    Examples
    --------
    >>> table_text("<table><caption>Sizes</caption><tr><td>LSTM</td><td>3</td></tr></table>")
    'table:\nSizes\nLSTM\n3'
    """
    return "\n".join([TABLE, *BeautifulSoup(table, "html.parser").stripped_strings])


def pages(site: Path) -> list[Downloads]:
    """List the downloads of every page of a site.

    Raises
    ------
    OfferError
        When a page does not offer a script, a notebook or an archive, or links to none.
    """
    provenance = json.loads((site / "provenance.json").read_text(encoding="utf-8"))
    return [downloads_of(site, name, run) for name, run in provenance["pages"].items()]


def downloads_of(site: Path, name: str, run: dict[str, Any]) -> Downloads:
    """Read the downloads of one page."""
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
    return Downloads(
        name=html.stem,
        section=html.parent.name,
        script=offered[".py"],
        notebook=offered[".ipynb"],
        archive=offered[".zip"],
        beside=tuple(link for link in links if link.suffix == ".whl"),
        results={result["name"]: result for result in run["results"]},
        outputs=outputs_in(content),
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
