"""The results and sources of a page, recorded for the build of the site."""

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS_FILE = "SMALLPORT_RESULTS_FILE"
"""The environment variable by which a build names the file for a page's results."""


UNITS = ("", "%", "GB/s", "MB", "billion/s", "nats", "s", "words", "×")
"""The units of results. One that is not here would not be compared with those of other pages."""


@dataclass(frozen=True)
class Result:
    """A number that a page measured, and the bounds that it claimed.

    Parameters
    ----------
    name
        The name of the figure.
    value
        The number.
    unit
        Its unit, one of ``UNITS``; empty for a count or a pure number.
    at_most, at_least
        The claimed bounds, or None where nothing is claimed on that side.
    """

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def claim(self) -> str:
        """The claimed bounds in words; empty where nothing is claimed.

        Examples
        --------
        >>> Result("loss", 3.1, "nats", at_most=3.5).claim
        'at most 3.5 nats'
        """
        bounds = []
        if self.at_least is not None:
            bounds.append(f"at least {with_unit(self.at_least, self.unit)}")
        if self.at_most is not None:
            bounds.append(f"at most {with_unit(self.at_most, self.unit)}")
        return " and ".join(bounds)

    @property
    def holds(self) -> bool:
        """Whether the value is a finite number within its bounds."""
        return (
            math.isfinite(self.value)
            and (self.at_most is None or self.value <= self.at_most)
            and (self.at_least is None or self.value >= self.at_least)
        )


def with_unit(value: float, unit: str) -> str:
    """Write a number to six significant digits, with its unit.

    Examples
    --------
    >>> with_unit(113.945412, "MB"), with_unit(3, ""), with_unit(1, "nats"), with_unit(5, "%")
    ('113.945 MB', '3', '1 nat', '5%')
    """
    number = f"{value:.6g}"
    space = "" if unit == "%" else " "
    return f"{number}{space}{singular_or_plural(number, unit)}".rstrip()


def singular_or_plural(number: str, unit: str) -> str:
    """Write a unit as it follows a number: without the plural's ending after 1.

    Examples
    --------
    >>> [singular_or_plural(*one) for one in (("1", "nats"), ("1.5", "nats"), ("1", "s"))]
    ['nat', 'nats', 's']
    """
    is_plural = unit.isalpha() and len(unit) > len("ms")
    return unit.removesuffix("s") if number == "1" and is_plural else unit


@dataclass(frozen=True)
class Source:
    """An asset that a page used: a text, weights or a checkpoint.

    Parameters
    ----------
    name
        A description of it.
    origin
        Where it comes from.
    identity
        Its version: a checksum, or a commit on the hub.
    """

    name: str
    origin: str
    identity: str


def record(entry: Result | Source) -> None:
    """Append a line to the file that the build named; do nothing where there is no build.

    Raises
    ------
    ValueError
        When the page has recorded another result under that name.
    """
    if file := os.environ.get(RESULTS_FILE):
        taken = {result.name for result in read_results(Path(file))}
        if isinstance(entry, Result) and entry.name in taken:
            raise ValueError(
                f"{entry.name!r} is the name of two results of this page: rename one of them"
            )
        line = json.dumps({type(entry).__name__: asdict(entry)})
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def read_results(file: Path) -> list[Result]:
    """Read the figures that a page measured, in the order of its checks.

    Parameters
    ----------
    file
        The file that ``RESULTS_FILE`` named; a missing file holds nothing.
    """
    return [Result(**entry["Result"]) for entry in _entries(file) if "Result" in entry]


def read_sources(file: Path) -> list[Source]:
    """Read the assets that a page used, each once; nothing if there is no such file."""
    sources = (Source(**entry["Source"]) for entry in _entries(file) if "Source" in entry)
    return list(dict.fromkeys(sources))


def _entries(file: Path) -> list[dict[str, dict[str, Any]]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
