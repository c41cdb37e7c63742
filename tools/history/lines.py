"""The lines of ``docs/history.jsonl``, each with its checksum.

Nothing is imported but the standard library, so that ``nox -s lint`` can look for lines that
somebody wrote or changed by hand.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.gallery import project
from tools.gallery.project import Finding, finding

FILE = project.DOCS / "history.jsonl"
APPEND = "python -m tools.history append"
"""The only command that writes the file."""


def write_line(run: dict[str, Any]) -> str:
    """Write a run as a line.

    Examples
    --------
    >>> write_line({"commit": "0123"})
    '{"checksum":"b0e226bbb4e1fe71","run":{"commit":"0123"}}'
    """
    return _json({"checksum": _checksum(run), "run": run})


def read_line(line: str) -> dict[str, Any]:
    """Read a run back.

    Raises
    ------
    ValueError
        When the line is not what :func:`write_line` wrote.
    """
    try:
        run: dict[str, Any] = json.loads(line)["run"]
        whole = line == write_line(run) and "environment" in run
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ValueError(
            f"does not fit its checksum. Only `{APPEND}` writes this file: restore the line from "
            "the last commit, or delete it"
        )
    return run


def identity(run: dict[str, Any]) -> str:
    """Tell runs of one commit with one version set on one kind of machine from all others."""
    return _json({name: it for name, it in run["environment"].items() if name != "date"})


def findings(file: Path | None = None) -> Iterator[Finding]:
    """Find lines that were written, changed or copied by hand.

    Parameters
    ----------
    file
        The history; by default the project's own.
    """
    file = file or FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    first: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        try:
            run = read_line(line)
        except ValueError as error:
            yield finding(file, number, "history", str(error))
            continue
        earlier = first.setdefault(identity(run), number)
        if earlier != number:
            message = f"is the same run as line {earlier}: delete one of them"
            yield finding(file, number, "history", message)


def _checksum(run: dict[str, Any]) -> str:
    return hashlib.sha256(_json(run).encode()).hexdigest()[:16]


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
