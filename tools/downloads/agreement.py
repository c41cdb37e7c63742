"""Compare what a download measured and printed with what its page says."""

import json
import math
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tools.downloads import clocked

NEAR = 1e-6
"""How far two runs of the same numbers may be apart, to their size."""

OF_THE_ENVIRONMENT = re.compile(r"(other than|not as) here: ")
"""How lines begin that compare what is installed with what kept figures were measured with.

A download has fewer packages around it than the site.
"""


def read_results(file: Path) -> dict[str, dict[str, Any]]:
    """Read what a run measured, by name; a file that is not there holds nothing."""
    if not file.exists():
        return {}
    entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    found = [entry["Result"] for entry in entries if "Result" in entry]
    return {result["name"]: result for result in found}


def measured_otherwise(
    page: dict[str, dict[str, Any]], run: dict[str, dict[str, Any]]
) -> Iterator[str]:
    """Say where a run measured something else than the page claims.

    A number that the page claims bounds for has to be within them; one without, to be the same
    unless a clock measured it.

    Parameters
    ----------
    page, run
        Results by name.

    Examples
    --------
    >>> size = {"name": "size", "value": 3.0, "unit": "MB", "at_most": 4.0, "at_least": None}
    >>> list(measured_otherwise({"size": size}, {"size": size | {"value": 5.0}}))
    ["measured 5.0 MB as 'size', and the page has 3.0 MB, at most 4.0"]
    """
    for name in page.keys() ^ run.keys():
        who = "its page did not" if name in run else "it did not, and its page did"
        yield f"measured {name!r}: {who}"
    for name in page.keys() & run.keys():
        there, here = page[name], run[name]
        low, high = there["at_least"], there["at_most"]
        if low is None and high is None:
            holds = there["unit"] in clocked.UNITS or math.isclose(
                there["value"], here["value"], rel_tol=NEAR, abs_tol=NEAR
            )
        else:
            holds = (low is None or here["value"] >= low) and (
                high is None or here["value"] <= high
            )
        if not holds:
            claims = [f", at least {low}"] * (low is not None)
            claims += [f", at most {high}"] * (high is not None)
            yield (
                f"measured {here['value']} {here['unit']} as {name!r}, and the page has "
                f"{there['value']} {there['unit']}{''.join(claims)}"
            )


def printed_otherwise(page: list[str], run: list[str]) -> Iterator[str]:
    r"""Say where a run printed something else than the page shows, but for what a clock measured.

    Parameters
    ----------
    page, run
        What each cell printed that printed anything.

    Examples
    --------
    >>> list(printed_otherwise(["loss: 3.1", "size: 4 MB"], ["loss: 3.2\n", "size: 4 MB\n"]))
    ["printed 'loss: 3.2', and the page shows 'loss: 3.1'"]
    """
    here, there = ([line for text in texts for line in lines(text)] for texts in (run, page))
    for ours, theirs in zip_longest(here, there, fillvalue="nothing more"):
        if ours != theirs:
            yield f"printed {ours!r}, and the page shows {theirs!r}"
            return


def lines(text: str) -> list[str]:
    """Read the lines of an output; the site takes their common indentation away."""
    stripped = (line.strip() for line in clocked.masked(text))
    return [line for line in stripped if line and not OF_THE_ENVIRONMENT.match(line)]
