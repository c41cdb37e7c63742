"""Every way to check and build the project: ``python -m nox -s NAME``."""

import hashlib
import os
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "tests", "examples", "docs"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "false"}


def install(session: nox.Session, *groups: str) -> list[str]:
    """Install the package and some dependency groups where they changed; return other arguments.

    With ``--latest``, the newest releases within pyproject.toml's bounds, but for torch where
    SMALLPORT_TORCH pins it; otherwise exactly the versions of constraints.txt.
    """
    latest = "--latest" in session.posargs
    wanted = nox.project.dependency_groups(PYPROJECT, *groups)
    state = [
        latest,
        wanted,
        Path("pyproject.toml").read_text(),
        Path("constraints.txt").read_text(),
    ]
    digest = hashlib.sha256(repr(state).encode()).hexdigest()
    stamp = Path(session.virtualenv.location, "smallport-installed")
    if latest or not stamp.exists() or stamp.read_text() != digest:
        stamp.unlink(missing_ok=True)
        how = ["-c", "constraints.txt"]
        if latest:
            how = ["--upgrade", "--upgrade-strategy=eager"]
            if torch := os.environ.get("SMALLPORT_TORCH"):
                how.append(f"torch=={torch}")
        session.install(*how, "-e", ".", *wanted)
        stamp.write_text(digest)
    session.run("python", "-m", "tools.gallery.versions", *(["--latest"] if latest else []))
    return [argument for argument in session.posargs if argument != "--latest"]


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and types."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the unit tests and the doctests."""
    arguments = install(session, "test", "docs")
    session.run("pytest", *arguments, env=ENVIRONMENT)


@nox.session
def examples(session: nox.Session) -> None:
    """Run every page as a downloader would: alone, in an empty folder, warnings as errors."""
    arguments = install(session, "test")
    session.run("pytest", "-m", "page", "tests/test_examples.py", *arguments, env=ENVIRONMENT)


@nox.session
def faults(session: nox.Session) -> None:
    """Break copies of the project in every way that the gates should notice, two at a time."""
    arguments = install(session, "test", "docs")
    two = ["--numprocesses=2", "--dist=loadfile"]
    environment = ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
    session.run("pytest", "-m", "fault", *two, "tests/faults", *arguments, env=environment)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into docs/_build/html and check it; --serve, --fresh, --page, --latest."""
    arguments = install(session, "docs")
    session.run("python", "-m", "tools.gallery.build", *arguments, env=ENVIRONMENT)
