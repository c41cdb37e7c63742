"""What is known of each page's last run: who ran it, on what, and what it measured.

One folder a page, below ``docs/_build/records``. A run that began and did not finish says so, which
is how a page that ended the build early is found out.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from smallport import records

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
FOLDER = ROOT / "docs" / "_build" / "records"
FRESH = "SMALLPORT_FRESH"
"""The environment variable by which a build asks for a page to be run, or for all (``*``)."""

NOW = FOLDER / "environment.json"
"""Holds the environment of the build that goes on, as the build itself found them."""

STOPPED = FOLDER / "stopped.txt"
"""Holds the reason why the build that goes on could not find out its environment."""


@dataclass(frozen=True)
class Environment:
    """What a run depends on besides the page's own text.

    Parameters
    ----------
    commit
        Of the project's repository, ``+`` behind it where the tree was not clean.
    date
        When the build began, in UTC, in ISO 8601.
    processor, int8_dot_products, cores
        The machine.
    versions
        Of Python and of the packages that the pages are about.
    assets
        The assets profile.
    corpus
        The corpus's checksum.
    fingerprint
        One checksum over all that makes a page's output stale when it changes.
    """

    commit: str
    date: str
    processor: str
    int8_dot_products: tuple[str, ...]
    cores: int
    versions: dict[str, str]
    assets: str
    corpus: str
    fingerprint: str

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Environment":
        """Read what ``dataclasses.asdict`` wrote."""
        return cls(**record | {"int8_dot_products": tuple(record["int8_dot_products"])})


@dataclass(frozen=True)
class Run:
    """One execution of a page.

    Parameters
    ----------
    page
        Path of the script below ``examples/``.
    script
        SHA-256 of the script.
    environment
        What it ran in.
    seconds
        How long it took; None as long as it has not finished.
    passed
        Whether it ran to its end.
    left
        The files that it left in the folder that it ran in.
    threads
        How many threads PyTorch used at its end.
    """

    page: str
    script: str
    environment: Environment
    seconds: float | None = None
    passed: bool = False
    left: tuple[str, ...] = ()
    threads: int | None = None

    @property
    def command(self) -> str:
        """The command that runs this page again, and no other."""
        return f"python -m nox -s docs -- --page {Path(self.page).stem}"


def scripts() -> Iterator[Path]:
    """List every Python file below ``examples/``, whatever the gallery makes of it."""
    yield from sorted(EXAMPLES.rglob("*.py"))


def folder_of(script: Path) -> Path:
    """Name the folder that holds a page's record."""
    return FOLDER / script.relative_to(EXAMPLES).with_suffix("")


def results_file(script: Path) -> Path:
    """Name the file that a page's checks are recorded in."""
    return folder_of(script) / "results.jsonl"


def read(script: Path) -> Run | None:
    """Read the record of a page's last run, if there is one that this version can read."""
    file = folder_of(script) / "run.json"
    if not file.exists():
        return None
    record = json.loads(file.read_text(encoding="utf-8"))
    try:
        environment = Environment.from_json(record.pop("environment"))
        record["left"] = tuple(record["left"])
        return Run(environment=environment, **record)
    except (KeyError, TypeError):  # another version of this extension wrote it
        return None


def begin(script: Path, environment: Environment) -> None:
    """Record that a page began to run, in place of what was known of it."""
    folder_of(script).mkdir(parents=True, exist_ok=True)
    results_file(script).unlink(missing_ok=True)
    _write(script, Run(str(script.relative_to(EXAMPLES)), checksum(script), environment))


def finish(
    script: Path, seconds: float, *, passed: bool, threads: int, left: tuple[str, ...] = ()
) -> None:
    """Record that a page ended, and how."""
    run = read(script)
    assert run is not None, f"{script} ended without having begun"
    _write(script, replace(run, seconds=seconds, passed=passed, threads=threads, left=left))


def sources(script: Path) -> list[records.Source]:
    """Read what a page worked on."""
    return records.read_sources(results_file(script))


def checked(script: Path) -> list[records.Result]:
    """Read what a page measured."""
    return records.read_results(results_file(script))


def checksum(file: Path) -> str:
    """Compute the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def note_environment(environment: Environment) -> None:
    """Write down what the pages of this build run in, for the gates."""
    _write_json(NOW, environment)


def note_stop(reason: str) -> None:
    """Write down why a build stops before it looks at any page, for the gates."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    STOPPED.write_text(reason, encoding="utf-8")


def current_environment() -> Environment | None:
    """Read what the pages of this build run in; None where the build never came to look."""
    if not NOW.exists():
        return None
    return Environment.from_json(json.loads(NOW.read_text(encoding="utf-8")))


def _write(script: Path, run: Run) -> None:
    _write_json(folder_of(script) / "run.json", run)


def _write_json(file: Path, entry: Run | Environment) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(entry), indent=2) + "\n", encoding="utf-8")
    partial.replace(file)
