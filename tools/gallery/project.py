"""The paths of the project's pages, and the form of findings about them."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
DOCS = ROOT / "docs"
BUILD = DOCS / "_build"
GALLERY = DOCS / "gallery"
HEADLINE = DOCS / "headline.toml"
"""The figures on the card of each page: their labels and their names."""

MEASURES_TIME = re.compile(r"^# sphinx_gallery_measures_time = True$", re.MULTILINE)
CLOCKS = re.compile(r"time_interleaved|perf_counter|process_time|measure_\w+")
"""The functions that measure time where a page calls them."""

SECTIONS = ("quantization", "export")
"""The folders of pages in the order in which they are read; others come after them."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with a page or another file.

    Parameters
    ----------
    place
        The file, relative to the project's root, or whatever else is to blame.
    line
        The line, where there is one.
    rule
        The name of the rule or gate that found it.
    message
        The problem and the remedy.
    """

    place: str
    line: int | None
    rule: str
    message: str

    @property
    def where(self) -> str:
        """The file and its line.

        Examples
        --------
        >>> Finding("examples/page.py", 3, "suppress", "…").where
        'examples/page.py:3'
        """
        return self.place if self.line is None else f"{self.place}:{self.line}"

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"

    @property
    def warning(self) -> str:
        """The finding in the form of Sphinx's warnings, which editors and CI know.

        Examples
        --------
        >>> Finding("examples/page.py", 3, "output", "shows a path: fix it").warning
        'examples/page.py:3: WARNING: shows a path: fix it [gallery.output]'
        """
        return f"{self.where}: WARNING: {self.message} [gallery.{self.rule}]"


def scripts() -> Iterator[Path]:
    """List every Python file below ``examples/``, whatever the gallery makes of it."""
    yield from sorted(EXAMPLES.rglob("*.py"))


def in_reading_order() -> list[Path]:
    """List the pages as the gallery does: by section, and in a section by name."""
    places = {name: place for place, name in enumerate(SECTIONS)}
    return sorted(scripts(), key=lambda page: (places.get(page.parent.name, len(places)), page))


def title(script: Path) -> str:
    """Read a page's title, which is the first line of its docstring."""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or script.stem
    return text.partition("\n")[0]


def headlines() -> dict[str, dict[str, str]]:
    """Read which figures the card of each page shows: by page, the name of each by its label."""
    return tomllib.loads(HEADLINE.read_text(encoding="utf-8"))


def measures_time(script: Path) -> bool:
    """Tell whether a page says that it measures time."""
    return bool(MEASURES_TIME.search(script.read_text(encoding="utf-8")))


def name_of(file: Path) -> str:
    """Name a file by its path from the project's root."""
    return file.relative_to(ROOT).as_posix()


def docname(script: Path) -> str:
    """Name a page by its path below ``examples/``, without ``.py``."""
    return script.relative_to(EXAMPLES).with_suffix("").as_posix()


def rendered(script: Path) -> Path:
    """Name what the gallery made of a page."""
    return GALLERY / script.relative_to(EXAMPLES).with_suffix(".rst")


def memory_of(script: Path) -> Path:
    """Name the file in which the gallery keeps the checksum of a page that ran."""
    return rendered(script).with_suffix(".py.md5")


def finding(file: Path, line: int | None, rule: str, message: str) -> Finding:
    """Report a problem of a file of the project."""
    return Finding(name_of(file), line, rule, message)
