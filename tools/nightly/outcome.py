"""The outcome of a night: what was run, in which versions, and what failed.

The job that runs upstream's releases writes it, and a job that may write issues reads it: what it
says is checked when it is read.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = "outcome.json"
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
KIND = re.compile(r"(?:\w+\.)*\w*(?:Error|Warning|Exception)\b")
FINDINGS = "findings"
"""The folder of the bisections' findings, next to the outcome."""


@dataclass(frozen=True)
class Failure:
    """Something that failed.

    Parameters
    ----------
    session
        The session that noticed it.
    subject
        A page, a test, a file or a session.
    error
        How it failed.
    line
        The line where it failed, if it did at one.
    """

    session: str
    subject: str
    error: str
    line: int | None = None


@dataclass(frozen=True)
class Outcome:
    """The outcome of a night.

    Parameters
    ----------
    commit
        Of the project's repository.
    sessions
        How each session ended, as nox says it.
    failures
        The failures.
    versions
        The pinned and the installed version of each package in which they differ.
    """

    commit: str
    sessions: dict[str, str]
    failures: list[Failure]
    versions: dict[str, tuple[str, str]]

    @property
    def digest(self) -> str:
        """Tell one set of failures from another, by what fails and by the kinds of errors."""
        kinds = [(one.subject, KIND.match(one.error)) for one in self.failures]
        return digest(f"{subject} {kind[0] if kind else ''}" for subject, kind in kinds)

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=2)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Outcome":
        """Read it from a folder.

        Raises
        ------
        ValueError
            When there is none, or none that can be believed; the message says why.
        """
        try:
            record = json.loads((folder / FILE).read_text(encoding="utf-8"))
            sessions = {str(name): str(result) for name, result in record["sessions"].items()}
            versions = {
                str(name): (str(pinned), str(installed))
                for name, (pinned, installed) in record["versions"].items()
            }
            failures = [_failure(one) for one in record["failures"]]
            outcome = cls(str(record["commit"]), sessions, failures, versions)
        except UNREADABLE as error:
            raise ValueError(f"{FILE} cannot be read: {type(error).__name__}: {error}") from error
        if not failures and set(sessions.values()) != {"success"}:
            raise ValueError(f"{FILE} names no failure, and not only sessions that passed")
        return outcome


@dataclass(frozen=True)
class Culprit:
    """The first release of a package that breaks something.

    Parameters
    ----------
    package, version
        The release.
    last_good
        The version before it that passes.
    """

    package: str
    version: str
    last_good: str


@dataclass(frozen=True)
class Found:
    """The end of a bisection.

    Parameters
    ----------
    subject
        The failures.
    culprits
        The packages; more than one where they fail only together.
    summary
        The result in one sentence.
    """

    subject: str
    culprits: tuple[Culprit, ...]
    summary: str


def read_findings(folder: Path) -> dict[str, Found]:
    """Read what bisections found, by subject; a file that cannot be read is none."""
    found = {}
    for file in sorted((folder / FINDINGS).glob("*.json")):
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            culprits = tuple(
                Culprit(str(one["package"]), str(one["version"]), str(one["last_good"]))
                for one in record["first_bad"]
            )
            subject = str(record["subject"])
            found[subject] = Found(subject, culprits, str(record["found"]))
        except UNREADABLE as error:
            print(f"{file.name} holds no finding: {type(error).__name__}: {error}")
    return found


def digest(texts: Iterable[str]) -> str:
    """Tell one set of texts from another."""
    return hashlib.sha256("\n".join(sorted(texts)).encode(errors="replace")).hexdigest()[:16]


def _failure(record: dict[str, Any]) -> Failure:
    """Read a failure; a line that is no number is none."""
    line = record["line"]
    return Failure(
        str(record["session"]),
        str(record["subject"]),
        str(record["error"]),
        line if isinstance(line, int) else None,
    )
