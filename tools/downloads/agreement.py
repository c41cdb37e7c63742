"""Compare the results and the output of a download with those of its page, timings apart."""

import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tools.downloads import clocked

ENVIRONMENT = re.compile(r"(?:other than|not as) here: (?P<package>\S+) \S+ \(here .*\)$")
"""A line that compares an installed version with that of a stored result."""

NOT_INSTALLED = "(here not installed)"
WITH_PATHS = {"int8 size, LSTM forgotten"}
"""Sizes of ONNX files that name source files of PyTorch, whose paths depend on the environment."""


def read_results(file: Path) -> dict[str, dict[str, Any]]:
    """Read the results of a run by name; a file that does not exist has none."""
    if not file.exists():
        return {}
    entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    found = [entry["Result"] for entry in entries if "Result" in entry]
    return {result["name"]: result for result in found}


def result_differences(
    page: dict[str, dict[str, Any]], run: dict[str, dict[str, Any]]
) -> Iterator[str]:
    """Compare results by name: they have to be equal, and timings within the page's bounds.

    Examples
    --------
    >>> size = {"name": "size", "value": 3.0, "unit": "MB", "at_most": 4.0, "at_least": None}
    >>> list(result_differences({"size": size}, {"size": size | {"value": 3.5}}))
    ["measured 3.5 MB as 'size', and the page has 3.0 MB, at most 4.0"]
    """
    for name in page.keys() ^ run.keys():
        who = "its page did not" if name in run else "it did not, and its page did"
        yield f"measured {name!r}: {who}"
    for name in page.keys() & run.keys():
        there, here = page[name], run[name]
        low, high, value = there["at_least"], there["at_most"], here["value"]
        within = (low is None or value >= low) and (high is None or value <= high)
        loose = there["unit"] in clocked.UNITS or name in WITH_PATHS
        if not within or not (loose or value == there["value"]):
            claims = [f", at least {low}"] * (low is not None)
            claims += [f", at most {high}"] * (high is not None)
            yield (
                f"measured {value} {here['unit']} as {name!r}, and the page has "
                f"{there['value']} {there['unit']}{''.join(claims)}"
            )


def output_differences(page: list[str], run: list[str]) -> Iterator[str]:
    r"""Compare the outputs of a notebook with those of its page; name the first difference.

    Parameters
    ----------
    page, run
        The output of each cell that has one.

    Examples
    --------
    >>> list(output_differences(["loss: 3.1", "size: 4 MB"], ["loss: 3.2\n", "size: 4 MB\n"]))
    ["printed 'loss: 3.2', and the page shows 'loss: 3.1'"]
    """
    there, here = comparable(page, run)
    for ours, theirs in zip_longest(here, there, fillvalue="nothing more"):
        if ours != theirs:
            yield f"printed {ours!r}, and the page shows {theirs!r}"
            return


def lines_missing(page: list[str], run: list[str]) -> Iterator[str]:
    r"""Find the first line of a page that a script, which also prints its tables, does not print.

    Examples
    --------
    >>> list(lines_missing(["loss: 3.1", "size: 4 MB"], ["loss: 3.1\na table\nsize: 5 MB\n"]))
    ["did not print 'size: 4 MB', which the page shows"]
    """
    there, here = comparable(page, run)
    remaining = iter(here)
    for line in there:
        if line not in remaining:  # which goes on after the line before
            yield f"did not print {line!r}, which the page shows"
            return


def comparable(page: list[str], run: list[str]) -> tuple[list[str], list[str]]:
    """List the lines of a page's and a run's outputs without what may differ.

    A download has fewer packages around it than the site: lines on those that it does not have are
    left out on both sides.
    """
    there, here = (
        [line.strip() for text in texts for line in clocked.masked(text) if line.strip()]
        for texts in (page, run)
    )
    absent = {package_of(line) for line in here if line.endswith(NOT_INSTALLED)} - {""}
    there, here = (
        [line for line in lines if package_of(line) not in absent] for lines in (there, here)
    )
    return there, here


def package_of(line: str) -> str:
    """Name the package whose version a line compares; empty for every other line."""
    found = ENVIRONMENT.match(line)
    return found["package"] if found else ""
