"""Compare what is installed with constraints.txt: ``python -m tools.gallery.versions [--latest]``.

Pinned, any difference is an error: the site would be built with other versions than it says. With
``--latest`` the differences are what the build is about, and they are printed. Packages that
constraints.txt does not name are named, and no error: CUDA builds of PyTorch bring many.

``python -m tools.gallery.versions --satisfied REQUIREMENT...`` prints ``satisfied`` and succeeds
where installing these requirements, and what they require, would change nothing.
"""

import importlib.metadata
import re
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"


def pinned() -> dict[str, str]:
    """Read the version that constraints.txt gives each package."""
    lines = (line.partition("#")[0].strip() for line in CONSTRAINTS.read_text().splitlines())
    return dict(line.split("==") for line in lines if line)


def installed() -> dict[str, str]:
    """Look up the version of every package of constraints.txt that is installed."""
    found = {}
    for name in pinned():
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # another session's package
    return found


def differences() -> list[str]:
    """Name the packages that are installed in another version, a local label like +cpu aside."""
    wanted = pinned()
    return [
        f"{name}: {version} is installed, constraints.txt says {wanted[name]}"
        for name, version in installed().items()
        if version.partition("+")[0] != wanted[name]
    ]


def unpinned() -> list[str]:
    """Name the installed packages that constraints.txt does not name, pip and our own aside."""
    known = {normalized(name) for name in pinned()} | {"pip", "smallport"}
    found = {normalized(package.name): package for package in importlib.metadata.distributions()}
    return [f"{name} {found[name].version}" for name in sorted(found.keys() - known)]


def normalized(name: str) -> str:
    """Write a package's name as registries compare it.

    Examples
    --------
    >>> normalized("huggingface_hub")
    'huggingface-hub'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def satisfied(requirements: list[str]) -> bool:
    """Tell whether all of these is installed as pinned, with all that it requires in its turn."""
    try:
        from packaging.requirements import Requirement  # noqa: PLC0415 - may be missing
    except ImportError:
        return False
    pins = {normalized(name): version for name, version in pinned().items()}
    waiting = [(text, "") for text in requirements]
    seen = set()
    while waiting:
        text, extra = waiting.pop()
        wanted = Requirement(text)
        if (text, extra) in seen or not (
            wanted.marker is None or wanted.marker.evaluate({"extra": extra})
        ):
            continue
        seen.add((text, extra))
        try:
            package = importlib.metadata.distribution(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            return False
        public = package.version.partition("+")[0]
        if public != pins.get(normalized(wanted.name), public):
            return False
        if not wanted.specifier.contains(public, prereleases=True):
            return False
        for required in package.requires or []:
            waiting += [(required, name) for name in ("", *wanted.extras)]
    return True


def main(arguments: list[str]) -> int:
    """Print the differences; fail on any unless the latest releases are wanted."""
    if arguments[:1] == ["--satisfied"]:
        if not satisfied(arguments[1:]):
            return 1
        print("satisfied")
        return 0
    if unknown := [argument for argument in arguments if argument != "--latest"]:
        print(f"{unknown[0]} is not an option: there are --latest, --satisfied", file=sys.stderr)
        return 2
    if others := unpinned():
        print(f"Installed and not in constraints.txt: {', '.join(others)}", flush=True)
    found = differences()
    if "--latest" in arguments:
        print("\n".join(["Newer than constraints.txt:", *(found or ["nothing"])]), flush=True)
        return 0
    for difference in found:
        print(difference, file=sys.stderr)
    if found:
        print("Delete .nox and run again, or update constraints.txt.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
