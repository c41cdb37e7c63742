"""The record of each page's last run: the environment, the outcome and the figures.

One folder a page, below ``docs/_build/records``. A record is believed if it is whole: ``run.json``
holds a checksum of itself and of the files next to it, and no result is outside its own bounds.
Anything else counts as no record, so that the page runs again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from smallport import files, records
from tools.gallery import project, reached

FOLDER = project.BUILD / "records"


@dataclass(frozen=True)
class Environment:
    """The environment that a page ran in.

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
    """

    commit: str
    date: str
    processor: str
    int8_dot_products: tuple[str, ...]
    cores: int
    versions: dict[str, str]
    assets: str

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
        The environment that it ran in.
    seconds
        How long it took; None where it did not come to its end.
    failure
        How it failed; empty where it did not.
    line
        The line of the page where it failed, if it did at one.
    left
        The files that it left behind.
    threads
        How many threads PyTorch used at its end; None where it did not use PyTorch.
    results
        SHA-256 of what it measured; empty where it measured nothing.
    megabytes
        The most memory that one of its processes took, in MB; None where the system cannot tell.
    used
        SHA-256 of the list of everything that it used; empty where there is none.
    made
        SHA-256 of each file that the gallery made of it, by its path below the gallery: its text
        with the output, its figures, and its downloads.
    """

    page: str
    script: str
    environment: Environment
    seconds: float | None = None
    failure: str = ""
    line: int | None = None
    left: tuple[str, ...] = ()
    threads: int | None = None
    results: str = ""
    megabytes: float | None = None
    used: str = ""
    made: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether it came to its end without a failure."""
        return self.seconds is not None and not self.failure

    @property
    def command(self) -> str:
        """The command that runs this page again, and no other."""
        return f"python -m nox -s docs -- --page {Path(self.page).stem}"


def folder_of(script: Path) -> Path:
    """Name the folder that holds a page's record."""
    return FOLDER / script.relative_to(project.EXAMPLES).with_suffix("")


def record_file(script: Path) -> Path:
    """Name the file that holds a page's record."""
    return folder_of(script) / "run.json"


def results_file(script: Path) -> Path:
    """Name the file that a page's checks are recorded in."""
    return folder_of(script) / "results.jsonl"


def used_file(script: Path) -> Path:
    """Name the file that lists everything that a page's run used."""
    return folder_of(script) / "used.json"


def ended_file(script: Path) -> Path:
    """Name the file in which the process of a page says how it ended."""
    return folder_of(script) / "ended.json"


def read(script: Path) -> Run | None:
    """Read the record of a page's last run, if there is one that can be believed."""
    found = _read(script)
    return found if isinstance(found, Run) else None


def flaw(script: Path) -> str:
    """Say why the record of a page cannot be believed; empty where it can."""
    found = _read(script)
    return found if isinstance(found, str) else ""


def _read(script: Path) -> Run | str:
    """Read a record, or say why it cannot be believed."""
    file = record_file(script)
    if not file.exists():
        return "there is none"
    try:
        sealed = json.loads(file.read_text(encoding="utf-8"))
        record = sealed["run"]
        changed = [name for name, digest in _files(script).items() if record[name] != digest]
        if sealed["checksum"] != _seal(record):
            return f"{file.name} was changed"
        if changed:
            return f"the file of its {changed[0]} was changed"
        environment = Environment.from_json(record.pop("environment"))
        run = Run(environment=environment, **record | {"left": tuple(record["left"])})
        outside = [one for one in records.read_results(results_file(script)) if not one.holds]
        reached.read(results_file(script))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Half-written, broken, or of another version of this module.
        return f"{type(error).__name__}: {error}"
    return f"{outside[0].name!r} is outside of its own bounds" if outside else run


def write(script: Path, run: Run) -> None:
    """Record a run, with the checksums of what it measured and used."""
    record: dict[str, Any] = asdict(run) | _files(script)
    files.write_json(record_file(script), {"checksum": _seal(record), "run": record})


def altered(run: Run) -> list[str]:
    """Name the files that the gallery made of a page which are not as it made them."""
    files_of_run = {name: project.GALLERY / name for name in run.made}
    return [
        project.name_of(file)
        for name, file in files_of_run.items()
        if not file.exists() or files.sha256(file) != run.made[name]
    ]


def forget(script: Path) -> None:
    """Delete what is known of a page's last run."""
    for file in (record_file(script), results_file(script), used_file(script)):
        file.unlink(missing_ok=True)


def sources(script: Path) -> list[records.Source]:
    """Read what a page worked on."""
    return records.read_sources(results_file(script)) if read(script) else []


def checked(script: Path) -> list[records.Result]:
    """Read what a page measured."""
    return records.read_results(results_file(script)) if read(script) else []


def _files(script: Path) -> dict[str, str]:
    """Compute the checksums of the files next to a record; empty for those that are not there."""
    beside = {"results": results_file(script), "used": used_file(script)}
    return {name: files.sha256(one) if one.exists() else "" for name, one in beside.items()}


def _seal(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
