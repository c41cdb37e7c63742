"""Find the first bad release: ``python -m tools.compat.bisect PAGE`` or ``... check NAME``.

PAGE is a page, by its path or its name. It is run alone, in an empty folder, with warnings as
errors, as ``nox -s examples`` runs it. ``check NAME`` runs ``smallport check NAME``, for an
architecture or a checkpoint; there, what was compared counts as well as what passed.

The versions begin with those that are installed, which are those of constraints.txt, and end with
the newest ones. First the packages are found with which the outcome changes, then the first release
of each with which it does. The outcomes are stored: a bisection that was interrupted continues
where it was.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from packaging.requirements import Requirement

from smallport.export.report import ExportReport
from smallport.files import write_json, write_text
from smallport.keys import code_key, key_of
from smallport.sweep.limits import Ending, Limits, run_limited
from tools.compat.packages import (
    Package,
    PackagesError,
    Store,
    installed,
    missing,
    releases,
    to_install,
    variables,
)
from tools.compat.search import FirstBad, Outcome, Search
from tools.downloads.install import ABOUT
from tools.gallery import project

FOLDER = project.ROOT / ".nox" / "compat"
LIMITS = Limits(seconds=1800, megabytes=16_000)
PASSED = "passed"
ERROR = re.compile(
    r"^(?:\w+\.)*(?P<type>\w+(?:Error|Warning|Exception|Exit|Interrupt))\b.*$", re.MULTILINE
)
LONGEST = 300
"""The most characters of an error that are shown."""


@dataclass(frozen=True)
class Subject:
    """A page or a check that is run with other versions.

    Parameters
    ----------
    name
        As it is called in reports: the path of a page below the project, or ``check NAME``.
    command
        Arguments for Python.
    page
        The page; None for a check.
    """

    name: str
    command: tuple[str, ...]
    page: Path | None = None

    @property
    def key(self) -> str:
        """The key of stored outcomes: it differs for a different page, package or Python."""
        text = self.page.read_text(encoding="utf-8") if self.page else ""
        return key_of(self.name, text, code_key("smallport.commands.main"), sys.version)

    def outcome(self, ending: Ending) -> Outcome:
        """Read the outcome of a process from how it ended and what it printed."""
        if self.page is None and (found := _verdict(ending.output)):
            return found
        if not ending.cause:
            return Outcome(PASSED, PASSED)
        errors = list(ERROR.finditer(ending.output))
        says = (errors[-1][0] if errors else ending.cause)[:LONGEST]
        kind = errors[-1]["type"] if errors else ending.cause
        places = re.findall(rf'File "{re.escape(str(self.page))}", line (\d+)', ending.output)
        line = int(places[-1]) if places else None
        return Outcome(f"line {line}: {kind}", says, line)


def _verdict(output: str) -> Outcome | None:
    """Read a report that was printed as JSON; None where there is none."""
    try:
        report = ExportReport.from_json(json.loads(output[output.index("{") :]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    number = sum(report.coverage.compared.get("number of tensors", ()))
    says = f"passes with {number} tensors compared"
    if failure := report.failure():
        says = f"fails in {failure.stage}: {(failure.error or failure.found).splitlines()[0]}"
    key = [f"{one.stage}: {one.status}" for one in report.stages]
    return Outcome("; ".join([*key, f"{number} tensors"]), says[:LONGEST])


def subject(words: Sequence[str]) -> Subject:
    """Find what some words name.

    Raises
    ------
    ValueError
        When they name no page.
    """
    match list(words):
        case ["check", name]:
            return Subject(f"check {name}", ("-m", "smallport", "check", name, "--json"))
        case [name]:
            for page in project.scripts():
                place = str(page.relative_to(project.ROOT))
                if name in {page.stem, str(page), place}:
                    return Subject(place, ("-W", "error", str(page)), page)
    known = ", ".join(page.stem for page in project.scripts())
    raise ValueError(f"{' '.join(words)!r} is neither a page nor `check NAME`. Pages are: {known}")


@dataclass
class Bisection:
    """The versions that differ, and what came of running something with them.

    Parameters
    ----------
    subject
        The page or check that is run.
    newest
        The packages whose newest versions are not installed, by name.
    store
        Where packages are installed.
    """

    subject: Subject
    newest: Mapping[str, Package]
    store: Store
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def candidates(self) -> dict[str, str]:
        """The versions of the packages that are installed in another one, by name."""
        return {name: one.version for name, one in self.newest.items() if installed_version(name)}

    def folders(self, versions: Mapping[str, str]) -> list[Path]:
        """Install packages in some versions, with what they need; list the folders."""
        found: list[Path] = []
        newest = [
            self.newest[name] for name in versions if versions[name] == self.newest[name].version
        ]
        for name, version in versions.items():
            if self.newest[name] not in newest:
                packages = to_install(f"{name}=={version}")
                others = [one for one in packages if one.name != name and one.name not in versions]
                found.append(self.store.add(Package(name, version), *others))
        needed = missing(
            newest, self.newest, {name: installed_version(name) for name in self.newest}
        )
        for one in [*newest, *(one for one in needed if installed_version(one.name))]:
            # What is not installed at all goes into the folder of what requires it: the libraries
            # of PyTorch look for each other by relative paths.
            added = missing([one], self.newest, {})
            new = [other for other in added if not installed_version(other.name)]
            found.append(self.store.add(one, *new))
        return found

    def probe(self, versions: Mapping[str, str]) -> Outcome:
        """Run the subject with some packages in other versions, unless it is known what comes."""
        combination = " ".join(f"{name}=={versions[name]}" for name in sorted(versions))
        if combination not in self.outcomes:
            with tempfile.TemporaryDirectory(prefix="smallport-bisect-") as folder:
                ending = run_limited(
                    [sys.executable, *self.subject.command],
                    LIMITS,
                    Path(folder),
                    MPLBACKEND="agg",
                    **variables(self.folders(versions)),
                )
            self.outcomes[combination] = self.subject.outcome(ending)
            self.write()
            self.tell(f"{self.outcomes[combination].says} ({ending.seconds:.0f} s)", combination)
        return self.outcomes[combination]

    def tell(self, text: str, combination: str = "") -> None:
        """Print a line, and add it to the log."""
        line = f"{combination or 'pinned'}: {text}" if text else combination
        print(line, flush=True)
        with self.file.with_suffix(".log").open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")

    @property
    def file(self) -> Path:
        """The file of the outcomes."""
        return FOLDER / "bisect" / f"{re.sub(r'[^-.a-zA-Z0-9]+', '-', self.subject.name)}.json"

    @cached_property
    def key(self) -> str:
        """The key of the stored outcomes: the subject, and all that is installed."""
        versions = sorted(f"{name} {version}" for name, version in installed().items())
        return key_of(self.subject.key, *versions)

    def read(self) -> None:
        """Read the outcomes that are known, if they are of the same subject and versions."""
        try:
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            known = {name: Outcome(**one) for name, one in kept["outcomes"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        if kept["key"] == self.key:
            self.outcomes.update(known)

    def write(self) -> None:
        """Keep the outcomes."""
        kept = {name: asdict(one) for name, one in self.outcomes.items()}
        write_json(self.file, {"key": self.key, "outcomes": kept})


def installed_version(name: str) -> str:
    """Look up the version of a package in this environment; empty where it is not installed."""
    return installed().get(name, "")


@dataclass(frozen=True)
class Found:
    """The end of a bisection.

    Parameters
    ----------
    subject
        The page or check that was run.
    found
        The finding in a sentence.
    error
        The bad outcome; empty where there is none.
    line
        The line of the page that fails.
    first_bad
        The first bad release of each package that is needed for it.
    """

    subject: str
    found: str
    error: str = ""
    line: int | None = None
    first_bad: tuple[FirstBad, ...] = ()


def bisect(bisection: Bisection) -> Found:
    """Find the packages and releases with which a subject ends in a different way than pinned."""
    name = bisection.subject.name
    good = bisection.probe({})
    if bisection.subject.page and good.key != PASSED:
        return Found(
            name, f"it fails with the installed versions: {good.says}", good.says, good.line
        )
    bad = bisection.probe(bisection.candidates)
    if bad.key == good.key:
        newest = ", ".join(f"{one} {version}" for one, version in bisection.candidates.items())
        return Found(name, f"nothing changes with the newest versions ({newest or 'none newer'})")
    search = Search(bisection.probe, good, bad)
    suspects = [one for one in bisection.candidates if one in ABOUT]
    culprits = search.culprits(bisection.candidates, suspects)
    found = []
    for one in culprits:
        pinned, newest = installed_version(one), bisection.candidates[one]
        every = releases(one)
        if pinned not in every or newest not in every:  # from another index, or from git
            found.append(FirstBad(one, newest, pinned))
            continue
        others = {name: bisection.candidates[name] for name in culprits if name != one}
        between = every[every.index(pinned) : every.index(newest) + 1]
        found.append(search.first_bad(one, between, others))
    return Found(name, sentence(found, bad, good), bad.says, bad.line, tuple(found))


def sentence(found: Sequence[FirstBad], bad: Outcome, good: Outcome) -> str:
    """Say what was found.

    Examples
    --------
    >>> bad, good = Outcome("1", "KeyError: 'x'"), Outcome("passed", "passed")
    >>> sentence([FirstBad("transformers", "5.24.0", "5.23.0")], bad, good)
    "transformers 5.24.0 is the first bad release: KeyError: 'x'; 5.23.0 passed"
    """
    names = [f"{one.package} {one.version}" for one in found]
    unclear = "".join(
        f"; {', '.join(one.unclear)} of {one.package} fail in another way"
        for one in found
        if one.unclear
    )
    if len(found) == 1:
        lasting = f"{found[0].last_good} {good.says}"
        return f"{names[0]} is the first bad release: {bad.says}; {lasting}{unclear}"
    return f"{' and '.join(names)} fail only together: {bad.says}; {good.says} otherwise{unclear}"


def newest_packages(*, prereleases: bool) -> dict[str, Package]:
    """Ask pip for the newest versions of all that the package and its extras require."""
    wanted = []
    for text in importlib.metadata.metadata("smallport").get_all("Requires-Dist") or ():
        one = Requirement(text)
        tested = [str(bound) for bound in one.specifier if bound.operator != "<="]
        wanted.append(f"{one.name}{','.join(tested)}")
    if torch := os.environ.get("SMALLPORT_TORCH"):
        wanted.append(f"torch=={torch}")
    options = ["--upgrade", "--upgrade-strategy", "eager", *["--pre"] * prereleases]
    return {one.name: one for one in to_install(*wanted, options=options)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Bisect what the arguments name, and print the finding; fail where none was reached."""
    parser = argparse.ArgumentParser(prog="nox -s bisect --", description=__doc__)
    parser.add_argument("subject", nargs="+", help="a page, or: check NAME")
    parser.add_argument("--json", type=Path, help="also write the finding into this file")
    parser.add_argument("--to-prereleases", action="store_true", help="end with pre-releases")
    options = parser.parse_args(arguments)
    try:
        chosen = subject(options.subject)
        newest = newest_packages(prereleases=options.to_prereleases)
        bisection = Bisection(chosen, newest, Store(FOLDER / "packages"))
        bisection.file.parent.mkdir(parents=True, exist_ok=True)
        bisection.read()
        found = bisect(bisection)
    except (ValueError, PackagesError) as error:
        print(error, file=sys.stderr)
        return 2
    bisection.tell(found.found, chosen.name)
    if options.json:
        write_text(options.json, json.dumps(asdict(found), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
