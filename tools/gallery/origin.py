"""Tell whether a page can have run at the commit and on the date that its record gives."""

import datetime as dt
from functools import cache
from pathlib import Path

from smallport import files
from tools.gallery import project, runs

NO_CHECKOUT = "none (not a git checkout)"


def doubt(environment: runs.Environment) -> str:
    """Say what is impossible about the commit or the date of a run; empty where nothing is.

    Parameters
    ----------
    environment
        The environment that the run recorded.
    """
    commit = environment.commit.removesuffix("+")
    committed = commit_date(project.ROOT, commit)
    if committed is None:
        return f"at the commit {commit}, which the repository of this checkout does not have"
    try:
        date = dt.datetime.fromisoformat(environment.date)
        seconds = date.timestamp()
    except (ValueError, OverflowError):
        return f"on {environment.date!r}, which is no date"
    if date.tzinfo is None:
        return f"on {environment.date!r}, a date without its time zone"
    if seconds > dt.datetime.now(dt.UTC).timestamp():
        return f"on {environment.date}, which is still to come"
    if seconds < committed:
        return f"on {environment.date}, before its commit {commit} was made"
    return ""


@cache
def commit_date(root: Path, commit: str) -> float | None:
    """Look up when a commit was made, in seconds; None where there is no such commit.

    Where the project is no checkout, there is only the commit that says so.
    """
    if not files.git(root, "rev-parse", "HEAD"):
        return 0 if commit == NO_CHECKOUT else None
    date = files.git(root, "show", "--no-patch", "--format=%ct", f"{commit}^{{commit}}")
    return float(date) if date else None
