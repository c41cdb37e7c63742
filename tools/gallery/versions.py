"""Compare what is installed with constraints.txt: ``python -m tools.gallery.versions [--latest]``.

Pinned, any difference is an error: the site would be built with other versions than it says. With
``--latest`` the differences are what the build is about, and they are printed.
"""

import importlib.metadata
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


def main(arguments: list[str]) -> int:
    """Print the differences; fail on any unless the latest releases are wanted."""
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
