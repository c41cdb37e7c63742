"""Take a tiny Llama through every route with every pair of releases of transformers and torch.

The versions that are not installed are put into folders, each once. Each cell runs in its own
process. Each result is stored at once: a grid that was interrupted continues where it was, and a
cell runs again only where its versions, Python or the code of the routes have changed. A whole grid
is written to src/smallport/measured/compat.json, which the site shows.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from smallport import measured
from smallport.commands.shell import INTERRUPTED
from smallport.files import write_json
from smallport.keys import code_key, key_of
from smallport.machine import usable_cores
from smallport.quantities import counted
from smallport.sweep.executors import SweepError, cluster, local
from smallport.sweep.limits import Limits, run_limited
from tools.compat.packages import (
    Package,
    PackagesError,
    Store,
    installed,
    to_install,
    variables,
)
from tools.compat.routes import OUTCOMES, ROUTES, Outcome
from tools.gallery import project

FOLDER = project.ROOT / ".nox" / "compat"
STORED = project.ROOT / "src" / "smallport" / "measured" / "compat.json"
COMMAND = "python -m nox -s compat"

NEWEST = "newest"
TRANSFORMERS = "5.8.1", "5.12.1", "5.13.1", "5.16.1", "5.17.0", "5.23.0", "5.24.0", NEWEST
TORCH = "2.13.0", "2.14.1"

LIMITS = Limits(seconds=600, megabytes=6000)
RELEVANT = (
    "huggingface-hub",
    "numpy",
    "onnx",
    "onnx-diagnostic",
    "onnxruntime",
    "onnxscript",
    "optree",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
)
"""The packages that an outcome depends on, besides those in the folders of its cell."""

CHILD = "-X", "faulthandler", "-W", "ignore", "-m", "tools.compat.routes"
INCOMPLETE = 1


class GridError(Exception):
    """A grid cannot run, or cannot be kept; the message says what to do."""


@dataclass(frozen=True)
class Cell:
    """A route with a release of transformers and one of torch.

    Parameters
    ----------
    route
        One of ``ROUTES``.
    transformers, torch
        The releases.
    installs
        The groups of packages that are not those of this environment; each group needs one folder.
    """

    route: str
    transformers: str
    torch: str
    installs: tuple[tuple[Package, ...], ...] = ()

    def __str__(self) -> str:
        return f"{self.route}, transformers {self.transformers}, torch {self.torch}"

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the packages that the outcome depends on, by name."""
        here = {name: one for name, one in installed().items() if name in RELEVANT}
        return here | {one.name: one.version for group in self.installs for one in group}

    @property
    def key(self) -> str:
        """The key of its stored outcome."""
        versions = [f"{name} {one}" for name, one in sorted(self.versions.items())]
        return key_of(self.route, sys.version, routes_key(), *versions)


@dataclass(frozen=True)
class Result:
    """The outcome of a cell, and what its process took.

    Parameters
    ----------
    outcome
        The outcome of the route.
    seconds
        How long the process ran.
    megabytes
        The most memory that it took; None where the system does not tell.
    """

    outcome: Outcome
    seconds: float
    megabytes: float | None


@dataclass(frozen=True)
class NoResult:
    """The reason why nothing is known about a cell.

    Parameters
    ----------
    cause
        The cause, such as the limit that ended the process.
    """

    cause: str


@cache
def routes_key() -> str:
    """Name the code that decides an outcome."""
    return key_of(
        code_key("tools.compat.routes"), code_key("smallport.tiny_llm", "smallport.parity")
    )


@cache
def ask(name: str, version: str = "") -> tuple[Package, ...]:
    """Ask pip what a package needs that is not installed here; without a version, the newest."""
    options = [] if version else ["--upgrade"]
    packages = to_install(f"{name}=={version}" if version else name, options=options)
    return tuple(sorted(packages, key=lambda one: one.name != name))


def resolve(name: str, versions: Iterable[str]) -> dict[str, str]:
    """Give versions of a package by what they are called here; ``newest`` is what pip installs."""
    found = {}
    for one in versions:
        newest = ask(name) if one == NEWEST else ()
        number = newest[0].version if newest else installed()[name]
        found[one] = number if one == NEWEST else one
    return found


def cells(transformers: Iterable[str], torch: Iterable[str]) -> list[Cell]:
    """List all cells of some releases, those with the same folders next to each other.

    Raises
    ------
    PackagesError
        When there is no such release, or when two packages need different versions of a third.
    """
    found = []
    torches = list(dict.fromkeys(torch))
    for one in torches:
        for release in dict.fromkeys(transformers):
            # Libraries of PyTorch look for each other by relative paths: they share a folder.
            base: list[tuple[Package, ...]] = [
                (package,) for package in ask("transformers", release)
            ]
            base += [ask("torch", one)] if ask("torch", one) else []
            for route, about in ROUTES.items():
                extra = [(package,) for name in about.packages for package in ask_installed(name)]
                installs = tuple(dict.fromkeys([*base, *extra]))
                found.append(Cell(route, release, one, installs))
    for cell in found:
        contradiction(cell)
    return found


def ask_installed(name: str) -> tuple[Package, ...]:
    """Ask what a package needs unless it is installed here."""
    return () if name in installed() else ask(name)


def contradiction(cell: Cell) -> None:
    """Reject a cell whose folders hold two versions of a package."""
    versions: dict[str, str] = {}
    for one in (package for group in cell.installs for package in group):
        if versions.setdefault(one.name, one.version) != one.version:
            raise PackagesError(f"{cell}: it needs {one} and {one.name} {versions[one.name]}")


@dataclass(frozen=True)
class Results:
    """A folder of results, one file for each cell.

    Parameters
    ----------
    folder
        The folder.
    """

    folder: Path

    def file(self, cell: Cell) -> Path:
        """Name the file of a cell."""
        words = (cell.route, "transformers", cell.transformers, "torch", cell.torch, cell.key)
        return self.folder / f"{re.sub(r'[^a-zA-Z0-9.]+', '-', ' '.join(words))}.json"

    def read(self, cell: Cell) -> Result | None:
        """Read what is known about a cell; None where nothing is, or where the file is none."""
        try:
            data = json.loads(self.file(cell).read_text(encoding="utf-8"))
            result = Result(Outcome(**data.pop("outcome")), **data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return result if result.outcome.outcome in OUTCOMES else None

    def write(self, cell: Cell, result: Result) -> None:
        """Keep what was found, whole or not at all."""
        try:
            write_json(self.file(cell), asdict(result), indent=1)
        except OSError as error:
            raise GridError(
                f"cannot write to {self.folder}: {error.strerror or error}. Make room, and run the "
                "same command again: it continues from here."
            ) from error


def run_cell(
    cell: Cell, folders: Sequence[Path], limits: Limits = LIMITS, child: Sequence[str] = CHILD
) -> Result | NoResult:
    """Run a cell in a separate process.

    Parameters
    ----------
    cell
        The cell.
    folders
        Where the packages are that are not those of this environment.
    limits
        The limits of the process.
    child
        Arguments for Python that start the process.
    """
    missing = [str(one) for one in folders if not one.is_dir()]
    if missing:
        return NoResult(f"{', '.join(missing)}: no such folder on this machine")
    with tempfile.TemporaryDirectory(prefix="smallport-compat-") as scratch:
        file = Path(scratch, "outcome.json")
        path = [*folders, project.ROOT / "src", project.ROOT]
        ending = run_limited(
            [sys.executable, *child, cell.route, str(file)],
            limits,
            OMP_NUM_THREADS="1",
            HF_HUB_OFFLINE="1",
            **variables(path),
        )
        if ending.cause:
            last = ending.output.strip().splitlines()[-1:] if not ending.exceeded else []
            return NoResult(" ".join([ending.cause, *last]))
        try:
            outcome = Outcome(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            return NoResult(f"The process wrote no outcome: {error!r}")
    if outcome.outcome not in OUTCOMES:
        return NoResult(f"The process wrote an outcome of another name: {outcome.outcome}")
    wanted = {"torch": cell.torch, "transformers": cell.transformers}
    for name, number in wanted.items():
        if (found := outcome.versions.get(name)) != number:
            return NoResult(f"The process found {name} {found} instead of {number}.")
    return Result(outcome, ending.seconds, ending.megabytes)


def run(
    wanted: Iterable[Cell],
    results: Results,
    store: Store,
    executor: Executor,
    *,
    limits: Limits = LIMITS,
    child: Sequence[str] | None = None,
) -> Iterator[tuple[Cell, Result | NoResult]]:
    """Run the cells about which nothing is known, and keep each result as soon as it is there.

    Folders are filled first, so that an installation is never cut short by a limit.

    Raises
    ------
    GridError
        When a result cannot be kept.
    """
    folders: dict[Cell, list[Path]] = {}
    for cell in wanted:
        if results.read(cell):
            continue
        try:
            folders[cell] = [store.add(*group) for group in cell.installs]
        except (PackagesError, OSError) as error:
            yield cell, NoResult(f"cannot install: {error}")
    futures = {
        executor.submit(run_cell, cell, found, limits, tuple(child or CHILD)): cell
        for cell, found in folders.items()
    }
    for future in as_completed(futures):
        cell = futures[future]
        try:
            found = future.result()
        except CancelledError:
            found = NoResult("the scheduler went away")
        except Exception as error:  # noqa: BLE001 - the executor's, whatever it is
            found = NoResult(f"the executor failed: {error!r}")
        if isinstance(found, Result):
            results.write(cell, found)
        yield cell, found


def stored(
    wanted: Sequence[Cell], results: Results, causes: Mapping[Cell, str], newest: Mapping[str, str]
) -> dict[str, object]:
    """Put together what the site shows.

    Parameters
    ----------
    wanted
        The cells of the grid.
    results
        The known results.
    causes
        Why nothing is known about some.
    newest
        The versions of what is called newest, by package.
    """
    known = {cell: results.read(cell) for cell in wanted}
    found = [one for one in known.values() if one]
    return {
        "transformers": list(dict.fromkeys(cell.transformers for cell in wanted)),
        "torch": list(dict.fromkeys(cell.torch for cell in wanted)),
        "newest": dict(newest),
        "python": ".".join(map(str, sys.version_info[:2])),
        "cpu_minutes": round(sum(one.outcome.cpu for one in found) / 60, 1),
        "needs": {
            route: {name: newest_or_installed(name) for name in about.packages}
            for route, about in ROUTES.items()
        },
        "cells": [
            {
                "route": cell.route,
                "transformers": cell.transformers,
                "torch": cell.torch,
                **(
                    {
                        name: value
                        for name, value in asdict(result.outcome).items()
                        if name not in {"cpu", "versions"}
                    }
                    if result
                    else {"outcome": "", "found": causes.get(cell, "it did not run")}
                ),
            }
            for cell, result in known.items()
        ],
    }


def newest_or_installed(name: str) -> str:
    """Look up the version of a package that a route runs with."""
    return installed().get(name) or ask(name)[0].version


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the grid; fail where nothing is known about some cell."""
    parser = argparse.ArgumentParser(prog="nox -s compat --", description=__doc__)
    parser.add_argument("--transformers", nargs="+", metavar="RELEASE", help=f"or {NEWEST!r}")
    parser.add_argument("--torch", nargs="+", metavar="RELEASE", help=f"or {NEWEST!r}")
    parser.add_argument("--jobs", type=int, help="how many at a time (default: one a core)")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster that shares this folder"
    )
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write what the site shows there")
    options = parser.parse_args(arguments)
    whole = not (options.transformers or options.torch)
    target = options.keep or (STORED if whole else None)
    try:
        return grid(options, target)
    except (GridError, PackagesError, SweepError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted: the same command continues from here.", file=sys.stderr)
        return INTERRUPTED


def grid(options: argparse.Namespace, target: Path | None) -> int:
    """Run what the options ask for, and write it to a file, if one is named."""
    print("Asking pip what differs from this environment.")
    transformers = resolve("transformers", options.transformers or TRANSFORMERS)
    torch = resolve("torch", options.torch or TORCH)
    wanted = cells(transformers.values(), torch.values())
    results, store = Results(FOLDER / "grid"), Store(FOLDER / "packages")
    causes: dict[Cell, str] = {}
    with alone(FOLDER / "grid"):
        known = sum(results.read(cell) is not None for cell in wanted)
        print(f"{counted(len(wanted), 'cell')}, {known} known; in {results.folder}")
        place = (
            cluster(options.scheduler)
            if options.scheduler
            else local(options.jobs or usable_cores())
        )
        with place as executor:
            for cell, found in run(wanted, results, store, executor):
                if isinstance(found, NoResult):
                    causes[cell] = found.cause
                    print(f"{cell}: no result: {found.cause}")
                else:
                    says = found.outcome.found
                    print(f"{cell}: {found.outcome.outcome}{says and f': {says}'}", flush=True)
    newest = {
        name: found[NEWEST]
        for name, found in (("transformers", transformers), ("torch", torch))
        if NEWEST in found
    }
    if target:
        measured.write(target, stored(wanted, results, causes, newest), command=COMMAND)
    print(f"{len(wanted) - len(causes)} of {len(wanted)} cells have a result")
    return INCOMPLETE if causes else 0


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other grids out of a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise GridError(f"another grid writes to {folder}. Wait for it.") from error


if __name__ == "__main__":
    sys.exit(main())
