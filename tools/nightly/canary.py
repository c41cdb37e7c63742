"""Break a page on purpose, and look whether the reporter reports that."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.gallery import project
from tools.nightly import report, sessions
from tools.nightly.outcome import Outcome
from tools.nightly.service import Service
from tools.nightly.text import code

PAGE = Path("examples/export/plot_20_export_error_cookbook.py")
"""A page that takes seconds up to its first claim, and trains nothing."""

EXPECTED = "expected.json"
SET = "canary"


def run(folder: Path) -> Outcome:
    """Install the pinned versions, and run a broken page with them."""
    environment = [sys.executable, "-m", "nox", "--nocolor", "-s", "environment"]
    subprocess.run(environment, cwd=project.ROOT, check=True)
    return run_broken(folder, sessions.PYTHON)


def run_broken(folder: Path, python: Path) -> Outcome:
    """Run a broken page in a copy of the project.

    Parameters
    ----------
    folder
        For the outcome, and for what has to be reported.
    python
        The interpreter of the pages.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve() / "project"
        copy_with_one_page(root, PAGE)
        text, line = broken((root / PAGE).read_text(encoding="utf-8"))
        (root / PAGE).write_text(text, encoding="utf-8")
        path = os.pathsep.join([str(root / "src"), str(root)])
        build = [str(python), "-m", "tools.gallery.execute"]
        subprocess.run(build, cwd=root, env=os.environ | {"PYTHONPATH": path}, check=True)
        outcome = sessions.collect({"docs": "failed"}, "", root, python)
    outcome.write(folder)
    expected = {"page": PAGE.as_posix(), "line": line, "error": "AssertionError"}
    (folder / EXPECTED).write_text(json.dumps(expected), encoding="utf-8")
    return outcome


def copy_with_one_page(root: Path, page: Path) -> None:
    """Copy the files that git tracks, without the other pages, which would run too."""
    for name in map(Path, sessions.git("ls-files", "-z").strip("\0").split("\0")):
        is_other_page = name.parts[0] == "examples" and name.suffix == ".py" and name != page
        if not is_other_page and (project.ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project.ROOT / name, root / name)


def broken(text: str) -> tuple[str, int]:
    r"""Turn the first claim of a page into its opposite; return the page and the line.

    Examples
    --------
    >>> broken("size = 3\nassert size == 3\nassert size > 1")
    ('size = 3\nassert not (size == 3)\nassert size > 1', 2)
    """
    claims = [node for node in ast.parse(text).body if isinstance(node, ast.Assert)]
    if not claims:
        raise ValueError(f"{PAGE} has no assert outside of functions. Let the canary break another")
    test = claims[0].test
    lines = text.splitlines()
    old = ast.get_source_segment(text, test) or ""
    first, last = claims[0].lineno, claims[0].end_lineno or claims[0].lineno
    lines[first - 1 : last] = [f"assert not ({old})"]
    return "\n".join(lines), first


def problems(service: Service, folder: Path, run: str) -> list[str]:
    """Say what is missing of the report that this run has to have made.

    Only the list of issues is shared with the reporter, not its way to find its issue.

    Parameters
    ----------
    service
        Where the issue has to be.
    folder
        Holds what has to be reported.
    run
        The address of the run of the workflow, which tells this report from an older one.
    """
    try:
        expected = json.loads((folder / EXPECTED).read_text(encoding="utf-8"))
        wanted = [code(expected["page"]), f", line {expected['line']}\n", expected["error"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"No page was broken: {EXPECTED} cannot be read: {type(error).__name__}: {error}"]
    bodies = open_bodies(service, run)
    if not bodies:
        return [f"No open issue with the label {report.LABEL} names {run}"]
    if len(bodies) > 1:
        return [f"{len(bodies)} open issues name {run}, and not one"]
    return [f"The issue does not hold {text.strip()!r}" for text in wanted if text not in bodies[0]]


def open_bodies(service: Service, run: str) -> list[str]:
    """Read the open issues that a run of the workflow wrote."""
    found = service.issues(report.LABEL)
    return [issue.body for issue in found if issue.open and f"({run})" in issue.body]
