"""Require that a stored result is as its command wrote it, on a day and a commit that exist."""

from __future__ import annotations

import functools
import re
from datetime import UTC, date, datetime
from pathlib import Path

from smallport.files import git, sha256, write_text

FOLDER = Path(__file__).parent
SUMS = FOLDER / "SHA256SUMS"
"""The digests of the results that come with the package, as ``sha256sum`` writes them.

Only the commands that measure change it.
"""

COMMIT = re.compile(r"([0-9a-f]{7,40})\+?")


def comes_with_package(file: Path) -> bool:
    """Say whether a file is one of this package's stored results."""
    return file.resolve().parent == FOLDER.resolve()


def seal(file: Path) -> None:
    """Note the digest of a result that comes with the package; other files need none."""
    if comes_with_package(file):
        sums = _sums() | {file.name: sha256(file)}
        write_text(SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))


def require_sealed(file: Path) -> None:
    """Require that a result that comes with the package is as its command wrote it.

    Raises
    ------
    ValueError
        When it was changed, or no command noted its digest.
    """
    if not comes_with_package(file):
        return
    noted, found = _sums().get(file.name), sha256(file)
    if noted != found:
        raise ValueError(
            f"{file.name} is not as it was measured: its SHA-256 is {found}, and {SUMS.name} has "
            f"{noted or 'none'}. Restore it, or measure it again with the command that it names."
        )


def require_date(day: str) -> None:
    """Require a real day that is not in the future.

    Raises
    ------
    ValueError
        When it is none.

    Examples
    --------
    >>> require_date("2026-02-28")
    >>> require_date("2026-02-30")
    Traceback (most recent call last):
    ...
    ValueError: it was measured on '2026-02-30', which is no date
    """
    try:
        measured_on = date.fromisoformat(day)
    except (TypeError, ValueError):
        raise ValueError(f"it was measured on {day!r}, which is no date") from None
    today = datetime.now(UTC).date()
    if measured_on > today:
        raise ValueError(f"it was measured on {day}, and today is {today}")


def require_commit(commit: str) -> None:
    """Require a commit of this project, or none.

    Whether it exists is known only in a checkout with its whole history.

    Raises
    ------
    ValueError
        When the project does not have it.

    Examples
    --------
    >>> require_commit("")
    >>> require_commit("yesterday")
    Traceback (most recent call last):
    ...
    ValueError: it was measured at commit 'yesterday', which this project does not have
    """
    matched = COMMIT.fullmatch(commit)
    if commit and not (matched and may_exist(matched[1])):
        raise ValueError(f"it was measured at commit {commit!r}, which this project does not have")


@functools.cache
def may_exist(commit: str) -> bool:
    """Look a commit up; without the whole history nothing is known against it."""
    here = Path(__file__).parent
    tracked = git(here, "ls-files", __file__)
    if not tracked or git(here, "rev-parse", "--is-shallow-repository") != "false":
        return True
    return git(here, "cat-file", "-t", commit) == "commit"


def _sums() -> dict[str, str]:
    """Read the digests by the names of their files."""
    lines = SUMS.read_text(encoding="utf-8").splitlines() if SUMS.exists() else []
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
