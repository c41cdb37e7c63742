"""Count the complete runs of pages in a run of CI: ``python -m tools.gallery.page_runs``.

Whatever runs a page from its first line to its last notes it in the file that the environment
variable ``SMALLPORT_PAGE_RUNS`` names, if it names one. A count, unlike a time, is the same on a
slow machine.
"""

import os
import sys
from collections import Counter
from pathlib import Path

from tools.gallery import project, settings

BEYOND = 10
"""The number of runs in CI beyond one for the site and one for the faults of each page."""


def most() -> int:
    """Count the runs that one run of CI may make, so that it stays short."""
    return 2 * len(list(project.scripts())) + BEYOND


def note(page: str, session: str) -> None:
    """Note that a page ran from start to end.

    Parameters
    ----------
    page
        The stem of its script.
    session
        The session that ran it.
    """
    if named := os.environ.get(settings.PAGE_RUNS):
        with Path(named).open("a", encoding="utf-8") as file:
            file.write(f"{session} {page}\n")


def table(lines: list[str]) -> str:
    """Write how many complete runs each session made.

    Examples
    --------
    >>> print(table(["docs plot_10", "docs plot_20", "faults plot_10"]))
    docs                2
    faults              1
    all                 3
    """
    counts = Counter(line.split()[0] for line in lines)
    rows = [f"{session:<18}{number:>3}" for session, number in sorted(counts.items())]
    return "\n".join([*rows, f"{'all':<18}{len(lines):>3}"])


def main() -> int:
    """Print the counts; fail where there are too many, or none."""
    file = Path(os.environ[settings.PAGE_RUNS])
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    print(f"Complete runs of pages, at most {most()}:\n{table(lines)}")
    if not lines:
        print("No session noted any: is tools.gallery.page_runs.note called?", file=sys.stderr)
    return 0 if 0 < len(lines) <= most() else 1


if __name__ == "__main__":
    sys.exit(main())
