"""Find links to pages of other sites that lead to an index, or from Markdown to nowhere.

A site that removes a page often redirects its address to an index. Sphinx's link check accepts
that, and ignores redirections in HTML. It does not read ``README.md``.
"""

import concurrent.futures
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urldefrag, urljoin, urlsplit

import requests

from tools.gallery import project
from tools.gallery.project import Finding

MARKDOWN = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
ADDRESS = re.compile(r"\]\((https?://[^\s)]+)\)")
REFRESH = re.compile(
    r"""<meta\b(?=[^>]*\bhttp-equiv=["']?refresh)[^>]*\burl=\s*["']?(?P<address>[^"'>\s]+)""",
    re.IGNORECASE,
)
"""A redirection in HTML."""

MOST_REDIRECTIONS = 5
SECONDS = 20
AT_ONCE = 8
READ_BYTES = 65_536


@dataclass(frozen=True)
class Link:
    """A link to another site.

    Parameters
    ----------
    place, line
        The file and the line of the link.
    address
        Its address.
    by_sphinx
        Whether Sphinx has found that the address exists.
    """

    place: str
    line: int | None
    address: str
    by_sphinx: bool


def findings(site: Path) -> list[Finding]:
    """Find links that lead to an index, or from Markdown to nowhere.

    Parameters
    ----------
    site
        The folder of Sphinx's link check.
    """
    links = [*checked_by_sphinx(site / "output.json"), *in_markdown()]
    addresses = sorted({link.address for link in links})
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as executor:
        targets = dict(zip(addresses, executor.map(target_of, addresses), strict=True))
    return [found for link in links if (found := problem(link, targets[link.address]))]


def checked_by_sphinx(output: Path) -> Iterator[Link]:
    """Read the links that Sphinx found to exist.

    Parameters
    ----------
    output
        The results of the link check, in lines of JSON.
    """
    for line in output.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["status"] in {"working", "redirected"} and entry["uri"].startswith("http"):
            yield Link(f"docs/{entry['filename']}", entry["lineno"], entry["uri"], by_sphinx=True)


def in_markdown() -> Iterator[Link]:
    """List the links of the project's Markdown files."""
    for name in MARKDOWN:
        text = (project.ROOT / name).read_text(encoding="utf-8")
        for found in ADDRESS.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Link(name, line, found[1], by_sphinx=False)


def problem(link: Link, target: str) -> Finding | None:
    """Report a link that leads to an index, or from Markdown to nowhere.

    Parameters
    ----------
    link
        The link.
    target
        The address that it leads to; empty where there is none.
    """
    if target and leads_to_index(link.address, target):
        message = (
            f"{link.address} leads to an index, {target}: link to the page, or to a copy of it"
        )
    elif not target and not link.by_sphinx:
        message = f"{link.address} cannot be read: correct the link"
    else:
        return None
    return Finding(link.place, link.line, "link", message)


def leads_to_index(address: str, target: str) -> bool:
    """Tell whether a link to a page leads to the index of a folder.

    Parameters
    ----------
    address
        The address of the link.
    target
        The address that it leads to.

    Examples
    --------
    >>> leads_to_index("https://example.org/docs/lstm.html", "https://example.org/docs/index.html")
    True
    >>> leads_to_index("https://example.org/docs/lstm.html", "https://example.org/docs/lstm/")
    False
    >>> leads_to_index("https://example.org/docs", "https://example.org/docs/stable/")
    True
    >>> leads_to_index("https://example.org/docs/", "https://example.org/docs/stable/")
    False
    """
    if is_index(address) or not is_index(target):
        return False
    page = PurePosixPath(urlsplit(address).path)
    folder = PurePosixPath(urlsplit(target).path.rpartition("/")[0])
    return folder.name not in {page.name, page.stem}


def is_index(address: str) -> bool:
    """Tell whether an address is the index of a folder.

    Parameters
    ----------
    address
        The address.

    Examples
    --------
    >>> [is_index(f"https://example.org{path}") for path in ("", "/a/", "/a/index.html", "/a")]
    [True, True, True, False]
    """
    path = urlsplit(address).path
    return path.rpartition("/")[2] in {"", "index.html", "index.htm"}


def target_of(address: str) -> str:
    """Follow the redirections of an address, in HTTP and in HTML; empty where one leads nowhere.

    Parameters
    ----------
    address
        The address.
    """
    target = urldefrag(address).url
    for _ in itertools.repeat(None, MOST_REDIRECTIONS):
        try:
            with requests.get(target, timeout=SECONDS, stream=True) as answer:
                answer.raise_for_status()
                beginning = next(answer.iter_content(READ_BYTES), b"")
                target = answer.url
        except requests.RequestException:
            return ""
        found = REFRESH.search(beginning.decode("utf-8", errors="replace"))
        if found is None:
            break
        target = urljoin(target, found["address"])
    return target
