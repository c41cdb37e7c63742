"""Stored measurements that take too long for a build of the site, with their provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from smallport import __version__
from smallport.files import git, write_json
from smallport.machine import Machine, this_machine
from smallport.measured.trust import (
    comes_with_package,
    require_commit,
    require_date,
    require_sealed,
    seal,
)

FOLDER = Path(__file__).parent
"""The folder of the stored results: a JSON file for each measurement."""

PACKAGES = (
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "transformers",
    "torchao",
    "openvino",
    "nncf",
)
"""The packages whose versions are kept with a result, where they are installed."""


@dataclass(frozen=True)
class Provenance:
    """The date, machine and versions of a measurement.

    Parameters
    ----------
    date
        When, as an ISO date in UTC.
    command
        The command that measures it again.
    smallport
        The version of this package.
    commit
        The commit of the checkout, with ``+`` where it had changes; empty without a checkout.
    machine
        The processor, its int8 dot products, cores and threads.
    versions
        Of the packages that are installed.
    """

    date: str
    command: str
    smallport: str
    commit: str
    machine: Machine
    versions: Mapping[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return f"{self.date} on {self.machine}; {versions}"

    def differences_from_here(self) -> list[str]:
        """List the versions in which this process differs, and the processor.

        Where there are none, a measurement made now should agree with the kept one.
        """
        now = installed_versions()
        different = [
            f"{name} {kept} (here {now.get(name, 'not installed')})"
            for name, kept in self.versions.items()
            if now.get(name) != kept
        ]
        here = this_machine().processor
        if here != self.machine.processor:
            different.append(f"{self.machine.processor} (here {here})")
        return different


@dataclass(frozen=True)
class Kept:
    """Results that were measured and stored earlier.

    Parameters
    ----------
    provenance
        When, where and with what.
    results
        The results, in the form that their measurement defines.
    """

    provenance: Provenance
    results: Any


def provenance(command: str) -> Provenance:
    """Describe a measurement that is made now, by this process."""
    return Provenance(
        date=datetime.now(UTC).date().isoformat(),
        command=command,
        smallport=__version__,
        commit=git(FOLDER, "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"),
        machine=this_machine(),
        versions=installed_versions(),
    )


def installed_versions() -> dict[str, str]:
    """Look up the versions of ``PACKAGES``, the missing ones left out."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package).partition("+")[0]  # without "+cpu"
        except PackageNotFoundError:
            continue
    return found


def write(file: Path | str, results: Any, *, command: str) -> None:
    """Store results with the provenance of this process.

    Parameters
    ----------
    file
        The JSON file to write; an older one is replaced, at once and only when all is written.
    results
        The results, of types that JSON has.
    command
        The command that measures it again.
    """
    kept = {"provenance": asdict(provenance(command)), "results": results}
    write_json(Path(file), kept, indent=1)
    seal(Path(file))


def read(name: Path | str) -> Kept:
    """Read stored results.

    Parameters
    ----------
    name
        The name of a measurement that comes with this package, such as ``"routes"``, or the path of
        a file that :func:`write` wrote.

    Raises
    ------
    FileNotFoundError
        When there is no such measurement.
    ValueError
        When the file does not say where its results come from, names a day or a commit that does
        not exist, or comes with this package and was changed after it was measured.

    Examples
    --------
    >>> read("nothing")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    FileNotFoundError: no kept results ...
    """
    file = name if isinstance(name, Path) else FOLDER / f"{name}.json"
    if not file.exists():
        known = ", ".join(sorted(found.stem for found in FOLDER.glob("*.json"))) or "none"
        raise FileNotFoundError(f"no kept results {file}; those that there are: {known}")
    require_sealed(file)
    try:
        kept = from_json(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} does not hold kept results with their provenance ({error!r}): measure them "
            "again with the command that its page names"
        ) from error
    try:
        require_date(kept.provenance.date)
        if comes_with_package(file):
            require_commit(kept.provenance.commit)
    except ValueError as error:
        command = kept.provenance.command
        raise ValueError(f"{file.name}: {error}. Measure it again with {command!r}.") from None
    return kept


def from_json(data: Mapping[str, Any]) -> Kept:
    """Read back results with their provenance.

    Raises
    ------
    KeyError, TypeError, ValueError
        When it does not hold both.
    """
    details = dict(data["provenance"])
    machine = dict(details.pop("machine"))
    machine["int8_dot_products"] = tuple(machine["int8_dot_products"])
    return Kept(Provenance(machine=Machine(**machine), **details), data["results"])
