"""Choose pages for axe that together have every structure of the site.

What axe finds depends on elements, their attributes and the elements around them, and hardly on
words. Two pages of one structure would be judged twice; a page with an element of a kind, or in a
place, that no other page has is always chosen.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache

QUOTED = r""""[^"]*"|'[^']*'"""
TOKEN = re.compile(
    r"<!--.*?-->"
    rf"|<(?P<raw>script|style)\b(?P<options>(?:{QUOTED}|[^>\"'])*)>.*?</(?P=raw)>"
    rf"|<(?P<close>/?)(?P<tag>[a-z][^\s/>]*)(?P<attributes>(?:{QUOTED}|[^>\"'])*)>"
    r"|(?P<text>[^<]+)",
    re.DOTALL | re.IGNORECASE,
)
ATTRIBUTE = re.compile(rf"""([^\s=/"']+)(?:\s*=\s*({QUOTED}|[^\s"'>]+))?""")
ID = re.compile(r'\sid="([^"]+)"')
REFERENCE = re.compile(r'\s(?:for|aria-(?:labelledby|describedby|controls|owns))="([^"]+)"')
WORDS = re.compile(r"aria-label|alt|content|href|id|for|name|src|srcset|title|value|width|height")
"""Attributes of which it only counts whether they are empty: words, addresses and sizes."""

EMPTY_TAGS = {
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta"),
    *("source", "track", "wbr"),
}
Path = tuple[str, ...]


def representatives(pages: Mapping[str, str]) -> list[str]:
    """Choose pages so that every structure of any page is on a chosen one.

    Parameters
    ----------
    pages
        The HTML of each page, by its name.

    Examples
    --------
    >>> representatives({"a": "<p>one</p>", "b": "<p>two</p><p></p>", "c": "<p>three</p>"})
    ['b']
    """
    found = {name: {*structures(page), *id_errors(page)} for name, page in pages.items()}
    missing = set().union(*found.values())
    chosen = []
    while missing:
        name = max(sorted(found), key=lambda one: len(found[one] & missing))
        chosen.append(name)
        missing -= found[name]
    return chosen


def structures(page: str) -> Iterator[Path]:
    """List the structures of a page: each kind of element with the kinds of those around it."""
    path: Path = ()
    above: list[tuple[str, Path]] = []
    empty = False
    for token in TOKEN.finditer(page):
        tag = (token["tag"] or token["raw"] or "").lower()
        if token["text"]:
            if not token["text"].isspace():
                # axe judges no colour by a single character.
                yield (*path, "text" if len(token["text"].strip()) > 1 else "character")
                empty = False
        elif token["close"]:
            if tag in {one for one, _ in above}:
                if empty:
                    yield (*path, "nothing")
                while above[-1][0] != tag:
                    above.pop()
                _, path = above.pop()
            empty = False
        elif tag:
            own = kind(tag, token["attributes"] or token["options"] or "")
            inside = (*(one for one in path if one != own), own)  # lists in lists are alike
            yield inside
            empty = tag not in EMPTY_TAGS and not token["raw"]
            if empty:
                above.append((tag, path))
                path = inside


def id_errors(page: str) -> Iterator[Path]:
    """Find ids that two elements have, and references to an id that none has."""
    ids = ID.findall(page)
    if len(ids) > len(set(ids)):
        yield ("an id twice",)
    if {one for names in REFERENCE.findall(page) for one in names.split()} - set(ids):
        yield ("a reference to no element",)


@cache
def kind(tag: str, attributes: str) -> str:
    """Describe an element without its words.

    Examples
    --------
    >>> kind("a", ' class="reference" href="page.html" title=""')
    'a class="reference" href title=empty'
    """
    parts = [tag]
    for name, value in sorted(ATTRIBUTE.findall(attributes)):
        if name.startswith("data-"):
            continue
        if WORDS.fullmatch(name):
            parts.append(name if value.strip("\"' ") else f"{name}=empty")
        else:
            parts.append(f"{name}={value}" if value else name)
    return " ".join(parts)
