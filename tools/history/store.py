"""Read the stored runs, and append the numbers of the last build."""

import re
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smallport import files
from tools.gallery import project, rendering, runs
from tools.gallery.runs import Environment
from tools.history import lines

KEPT_RUNS = 5
"""The number of runs of one version set on one machine type that are stored: the newest."""

MOST_RUNS = 200
"""The number of runs that are stored in all: the newest."""

VersionSet = tuple[tuple[str, str], ...]
"""Names of packages and their versions."""

DIGITS = 6
"""The significant digits of a stored number."""

COMMIT = re.compile(r"[0-9a-f]{7,}")
FRESH = "python -m nox -s docs -- --fresh"


class HistoryError(Exception):
    """The numbers of a build cannot be appended."""


@dataclass(frozen=True)
class Entry:
    """The numbers that the pages of one build measured.

    Parameters
    ----------
    environment
        The environment of all of them.
    scripts
        The beginning of each page's SHA-256, which tells whether the page has changed.
    numbers
        By page, the value and the unit of each named number.
    """

    environment: Environment
    scripts: dict[str, str]
    numbers: dict[str, dict[str, tuple[float, str]]]

    @classmethod
    def from_json(cls, run: dict[str, Any]) -> "Entry":
        """Read what ``dataclasses.asdict`` wrote."""
        numbers = {
            page: {name: (value, unit) for name, (value, unit) in named.items()}
            for page, named in run["numbers"].items()
        }
        return cls(Environment.from_json(run["environment"]), run["scripts"], numbers)

    @property
    def line(self) -> str:
        """The line of the file."""
        return lines.write_line(asdict(self))

    @property
    def machine(self) -> tuple[str, tuple[str, ...], int, str]:
        """The machine and the assets: only numbers that share them can be compared."""
        here = self.environment
        return here.processor, here.int8_dot_products, here.cores, here.assets

    @property
    def versions(self) -> VersionSet:
        """The version set."""
        return tuple(sorted(self.environment.versions.items()))

    @property
    def identity(self) -> str:
        """The commit, the version set and the machine, of which no two runs are stored."""
        return lines.identity(asdict(self))


def read(file: Path | None = None) -> list[Entry]:
    """Read all stored runs, from the oldest to the newest.

    Parameters
    ----------
    file
        The history; by default the project's own.

    Raises
    ------
    HistoryError
        When a line was changed by hand.
    """
    file = file or lines.FILE
    found = []
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            found.append(Entry.from_json(lines.read_line(line)))
        except ValueError as error:
            raise HistoryError(f"{file.name}:{number} {error}.") from None
    return found


def last_build() -> Entry:
    """Collect what the pages measured in the last build.

    Raises
    ------
    HistoryError
        When it did not pass, lacks a page, or cannot be repeated.
    """
    found = {script: _passed(script) for script in project.in_reading_order()}
    if not found:
        raise HistoryError(f"{project.EXAMPLES.name}/ has no pages. Add one, and run `{FRESH}`.")
    environment = max((run.environment for run in found.values()), key=lambda one: one.date)
    if earlier := [run.page for run in found.values() if run.environment != environment]:
        raise HistoryError(
            f"{', '.join(earlier)} did not run in the build of {environment.date}, but before it. "
            f"Run every page in one build: `{FRESH}`."
        )
    if not COMMIT.fullmatch(environment.commit):
        raise HistoryError(
            f"The build ran at commit {environment.commit}, not on a clean checkout, so nobody can "
            f"measure its numbers again. Commit or discard the changes, and run `{FRESH}`."
        )
    records = rendering.contents(map(runs.record_file, found))
    if not records.items() <= rendering.last_good().get("key", {}).items():
        raise HistoryError(
            f"The last build did not pass its gates. Correct what it reports, and run `{FRESH}`."
        )
    return Entry(
        environment,
        {project.docname(script): run.script[:12] for script, run in found.items()},
        {
            project.docname(script): {
                one.name: (float(f"{one.value:.{DIGITS}g}"), one.unit)
                for one in runs.checked(script)
            }
            for script in found
        },
    )


def append(file: Path | None = None) -> Entry:
    """Append the last build to the history, and drop the runs that are too old.

    Parameters
    ----------
    file
        The history; by default the project's own.

    Raises
    ------
    HistoryError
        When it cannot be appended, or has been.
    """
    file = file or lines.FILE
    stored, entry = read(file), last_build()
    if entry.identity in {one.identity for one in stored}:
        raise HistoryError(
            f"{file.name} has a run of commit {entry.environment.commit} with these versions on "
            "this kind of machine. Append builds of other commits only."
        )
    text = "".join(f"{one.line}\n" for one in newest([*stored, entry]))
    files.write_text(file, text)
    return entry


def newest(entries: list[Entry]) -> list[Entry]:
    """Choose the newest runs of each version set on each kind of machine, and of all.

    They are returned from the oldest to the newest.
    """
    counted: Counter[object] = Counter()
    chosen = []
    for entry in sorted(entries, key=lambda one: one.environment.date, reverse=True):
        kind = entry.machine, entry.versions
        counted[kind] += 1
        if counted[kind] <= KEPT_RUNS:
            chosen.append(entry)
    return chosen[:MOST_RUNS][::-1]


def _passed(script: Path) -> runs.Run:
    run, name = runs.read(script), project.name_of(script)
    if run is None:
        raise HistoryError(f"{name} has no record of a run that can be believed. Run `{FRESH}`.")
    if not run.passed:
        failed = run.failure or "it did not come to its end"
        raise HistoryError(f"{name} did not pass: {failed}. Correct it, and run `{FRESH}`.")
    if run.script != files.sha256(script):
        raise HistoryError(f"{name} has changed since it ran. Run `{FRESH}`.")
    return run
