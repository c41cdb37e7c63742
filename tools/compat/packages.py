"""Ask pip what it would install, and keep packages in folders that any process can put first.

An environment with other versions is the shared one, with folders before it on the path of Python:
nothing is uninstalled, each version is installed once, and processes with different versions run
next to each other. ``python -m tools.compat.packages REQUIREMENT...`` says what installing them
would download, and how large it is.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from smallport.files import replacing
from smallport.keys import key_of
from tools.gallery.versions import normalized

SECONDS_TO_ASK = 30
AVAILABLE = re.compile(r"Available versions: (.+)")
LARGE = 500e6
"""Bytes of a download from which a hint to builds without CUDA is of use."""


class PackagesError(Exception):
    """Pip cannot do what was asked; the message says what it said."""


@dataclass(frozen=True)
class Package:
    """A package that pip would install.

    Parameters
    ----------
    name
        As registries compare it.
    version
        Its version.
    requires
        Its requirements, as its metadata has them.
    url
        Where it comes from.
    """

    name: str
    version: str
    requires: tuple[str, ...] = ()
    url: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def pip(*arguments: str) -> str:
    """Run pip in this environment; return what it printed."""
    if importlib.util.find_spec("pip") is None:
        raise PackagesError(
            "pip is not installed in this environment, as in those that uv makes. Set "
            "NOX_DEFAULT_VENV_BACKEND=virtualenv, and delete .nox/environment"
        )
    command = [sys.executable, "-m", "pip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise PackagesError(f"pip {arguments[0]}: {' '.join(lines) or done.stderr[-500:]}")
    return done.stdout


def to_install(*requirements: str, options: Sequence[str] = ()) -> list[Package]:
    """Ask pip what it would install for some requirements in addition to what is installed.

    Raises
    ------
    PackagesError
        When there is no such set of packages.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        pip("install", "--quiet", "--dry-run", "--report", str(report), *options, *requirements)
        installs = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [
        Package(
            normalized(one["metadata"]["name"]),
            one["metadata"]["version"],
            tuple(one["metadata"].get("requires_dist", ())),
            one["download_info"]["url"],
        )
        for one in installs
    ]


@cache
def installed() -> dict[str, str]:
    """Look up the versions of what is installed in this environment, by name."""
    return {normalized(one.name): one.version.partition("+")[0] for one in distributions()}


def releases(name: str, *, prereleases: bool = False) -> list[str]:
    """List the releases of a package that pip can install here, the oldest first."""
    found = AVAILABLE.search(pip("index", "versions", *["--pre"] * prereleases, name))
    return sorted(found[1].split(", ") if found else [], key=order)


def order(version: str) -> Version:
    """Order versions as pip does; what is none comes first."""
    try:
        return Version(version)
    except InvalidVersion:
        return Version("0")


def missing(
    packages: Iterable[Package], available: Mapping[str, Package], installed: Mapping[str, str]
) -> list[Package]:
    """List what must be newer, too, for the requirements of some packages to hold.

    Parameters
    ----------
    packages
        The packages that are to be newer.
    available
        The newer packages that there are, by name.
    installed
        The versions of the others.
    """
    chosen = {one.name: one for one in packages}
    waiting = list(chosen.values())
    added = []
    while waiting:
        for text in waiting.pop().requires:
            wanted = Requirement(text)
            name = normalized(wanted.name)
            if name in chosen or name not in available or not _applies(wanted):
                continue
            version = installed.get(name)
            if version is None or not wanted.specifier.contains(version, prereleases=True):
                chosen[name] = available[name]
                added.append(available[name])
                waiting.append(available[name])
    return added


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


@dataclass(frozen=True)
class Store:
    """Folders with packages, each installed once.

    Parameters
    ----------
    folder
        Where they are.
    """

    folder: Path

    def add(self, *packages: Package) -> Path:
        """Install packages into a separate folder, without what they require; return it."""
        first, *others = [f"{one.name}-{one.version}" for one in packages]
        target = self.folder / (f"{first}+{key_of(*others)[:8]}" if others else first)
        if not target.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(target) as partial:
                wanted = [f"{one.name}=={one.version}" for one in packages]
                pip("install", "--quiet", "--no-deps", "--target", str(partial), *wanted)
        return target


def variables(folders: Iterable[Path]) -> dict[str, str]:
    """Name the variables by which a process finds the packages of some folders first."""
    before = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([*map(str, folders), *filter(None, [before])])}


def size(url: str) -> int | None:
    """Look up how many bytes a download has; None where nobody says."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        file = Path(unquote(parts.path))
        return file.stat().st_size if file.is_file() else None
    try:
        answer = requests.head(url, allow_redirects=True, timeout=SECONDS_TO_ASK)
        answer.raise_for_status()
        return int(answer.headers["Content-Length"])
    except (requests.RequestException, KeyError, ValueError):
        return None


def plan(packages: Sequence[Package], sizes: Mapping[str, int | None]) -> str:
    """Say what would be downloaded, the largest first, and how large that is.

    Examples
    --------
    >>> one, two = Package("torch", "2.14.1"), Package("idna", "3.20")
    >>> print(plan([two, one], {"torch": 900_000_000, "idna": 70_000}))
    900.1 MB to download, in 2 packages:
      900.0 MB  torch 2.14.1
        0.1 MB  idna 3.20
    PyTorch brings CUDA with it; README.md says how to get a build without.
    """
    if not packages:
        return "Nothing to download: these are the newest versions."
    total = sum(known for known in sizes.values() if known)
    unknown = sum(sizes[one.name] is None for one in packages)
    besides = f", and {unknown} whose size is unknown" if unknown else ""
    rows = sorted(packages, key=lambda one: -(sizes[one.name] or 0))
    lines = [f"{total / 1e6:,.1f} MB to download, in {len(packages)} packages{besides}:"]
    for one in rows:
        known = sizes[one.name]
        lines.append(f"{'?' if known is None else f'{known / 1e6:,.1f}':>7} MB  {one}")
    if total > LARGE and any(one.name == "torch" for one in packages):
        lines.append("PyTorch brings CUDA with it; README.md says how to get a build without.")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Say what installing the newest versions would download."""
    options = [one for one in arguments if one.startswith("-")]
    wanted = [one for one in arguments if not one.startswith("-")]
    try:
        packages = to_install(*wanted, options=["--upgrade", *options])
    except PackagesError as error:
        print(error, file=sys.stderr)
        return 1
    print(plan(packages, {one.name: size(one.url) for one in packages}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
