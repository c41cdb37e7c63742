"""The project's environment variables: ``python -m tools.gallery.settings [--latest]``.

A name that nothing reads, or that has no effect with the others, is an error before anything is
installed or built. Only the standard library is imported.
"""

import difflib
import math
import os
import sys
from collections.abc import Iterable, Mapping

PREFIX = "SMALLPORT_"
ASSETS = "SMALLPORT_ASSETS"
PROFILES = ("embedded", "published")
PAGE_SECONDS = "SMALLPORT_PAGE_SECONDS"
"""The time limit of a page in seconds; 900 by default."""

TORCH = "SMALLPORT_TORCH"
FOR_PUBLISHED = ("SMALLPORT_DATA_DIR", "SMALLPORT_TINY_LLM_REVISION")
SITE_URL = "SMALLPORT_SITE_URL"
"""The address of the site, with or without a slash at its end."""

ADDRESSES = (SITE_URL, "SMALLPORT_REPOSITORY_URL")
PAGE_RUNS = "SMALLPORT_PAGE_RUNS"
"""Names the file that lists the complete runs of pages; see ``tools.gallery.page_runs``."""

KNOWN = {
    ASSETS,
    PAGE_SECONDS,
    PAGE_RUNS,
    TORCH,
    *FOR_PUBLISHED,
    *ADDRESSES,
    "SMALLPORT_CACHE_DIR",
}

PAGE = "SMALLPORT_PAGE"
"""Names the page, below ``examples/``, that a process is started for."""

STUBS_CURRENT = "SMALLPORT_STUBS_CURRENT"
"""Says that the generated pages of the API are as the last build left them, and still right."""

RESULTS_FILE = "SMALLPORT_RESULTS_FILE"
"""Names the file for a page's results; the same as ``smallport.records.RESULTS_FILE``."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the known word that is most like another, as the end of a message.

    Examples
    --------
    >>> nearest("--fersh", ["--fresh", "--page"])
    ': did you mean --fresh?'
    >>> nearest("--jobs", ["--fresh", "--page"])
    ': there are --fresh, --page'
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f": did you mean {close[0]}?" if close else f": there are {', '.join(sorted(known))}"


def problems(environment: Mapping[str, str], *, latest: bool = False) -> list[str]:
    """Say which of the project's variables are misspelt, or set without any effect.

    Parameters
    ----------
    environment
        The environment variables.
    latest
        Whether the newest releases were asked for with ``--latest``.

    Examples
    --------
    >>> problems({"SMALLPORT_ASETS": "published"})
    ['SMALLPORT_ASETS is not a setting: did you mean SMALLPORT_ASSETS?']
    """
    found = [
        f"{name} is not a setting{nearest(name, KNOWN)}"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in KNOWN
    ]
    profile = environment.get(ASSETS, "embedded")
    if profile not in PROFILES:
        close = difflib.get_close_matches(profile, PROFILES, n=1)
        hint = f": did you mean {close[0]!r}?" if close else ""
        found.append(f"{ASSETS}={profile!r} is neither 'embedded' nor 'published'{hint}")
    found += [
        f"{name} has no effect unless {ASSETS}=published: set that, or unset {name}"
        for name in FOR_PUBLISHED
        if environment.get(name) and profile == "embedded"
    ]
    if environment.get(TORCH) and not latest:
        found.append(f"{TORCH} has no effect without --latest: pass that, or unset {TORCH}")
    try:
        page_seconds(environment)
    except ValueError as error:
        found.append(str(error))
    return found


def page_seconds(environment: Mapping[str, str]) -> float:
    """Read how long a page may run, in seconds.

    Raises
    ------
    ValueError
        When the setting is not a number of seconds.
    """
    value = environment.get(PAGE_SECONDS) or "900"
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{PAGE_SECONDS}={value!r} is not a number of seconds: set it to 900, say")
    return seconds


def main(arguments: list[str]) -> int:
    """Print what is wrong with the settings; fail where anything is."""
    found = problems(os.environ, latest="--latest" in arguments)
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
