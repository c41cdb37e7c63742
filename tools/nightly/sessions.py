"""Run sessions of nox with a set of versions, and collect what failed in them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tools.gallery import project
from tools.nightly.outcome import FINDINGS, Failure, Outcome
from tools.nightly.text import UNSEEN

FLAGS = {"newest": ["--latest"], "prerelease": ["--prereleases"]}
"""The arguments of the sessions for each set of versions."""

NAMES = ("tests", "examples", "docs")
NOX = project.ROOT / ".nox"
PYTHON = NOX / "environment" / "bin" / "python"
JUNIT = NOX / "junit"
"""The folder of the JUnit files of sessions that run pytest."""

NOTHING: dict[str, Any] = {"pages": {}, "versions": {}}
LAST_LINES = 30
FINDING = re.compile(r"^(\S+?)(?::(\d+))?: (?:WARNING|ERROR|CRITICAL): (.+)$", re.MULTILINE)
"""A finding of the gates, or a warning of Sphinx."""

STARTS = re.compile(r"^nox > Running session (\S+)$", re.MULTILINE)
PAGE = re.compile(r"\[(plot_\w+)\]$")
ERROR = re.compile(r"^(?:E +)?((?:\w+\.)*\w*(?:Error|Warning|Exception)\b.*)$", re.MULTILINE)
MINUTES = 60
"""The time limit of all bisections of one night."""


def run(name: str, folder: Path) -> Outcome:
    """Run the sessions with a set of versions; write the outcome into a folder.

    Parameters
    ----------
    name
        The set of versions.
    folder
        For the outcome.
    """
    for file in JUNIT.glob("*.xml"):
        file.unlink()
    report = NOX / "report.json"
    report.unlink(missing_ok=True)
    nox = [sys.executable, "-m", "nox", "--nocolor", f"--report={report}"]
    log = followed([*nox, "-s", *NAMES, "--", *FLAGS[name]])
    if report.exists():
        ended = json.loads(report.read_text(encoding="utf-8"))["sessions"]
        results = {one["name"]: one["result"] for one in ended}
    else:
        results = {"nox": "failed"}
    outcome = collect(results, log, project.ROOT, PYTHON)
    outcome.write(folder)
    return outcome


def followed(command: list[str]) -> str:
    """Run a command, print what it prints, and return it."""
    lines = []
    with subprocess.Popen(
        command,
        cwd=project.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    return UNSEEN.sub("", "".join(lines)).replace(f"{project.ROOT}{os.sep}", "")


def collect(results: dict[str, str], log: str, root: Path, python: Path) -> Outcome:
    """Collect what failed.

    Parameters
    ----------
    results
        How each session ended.
    log
        Their output.
    root
        The project, or a copy of it.
    python
        The interpreter of the pages.
    """
    parts = by_session(log)
    if results.get("environment", "success") != "success":
        described = NOTHING
    else:
        described = read_pages(root, python)
    failures = [
        Failure("docs", page, error, line)
        for page, (error, line) in described["pages"].items()
        if error
    ]
    for session in results:
        known = {(one.subject, one.line) for one in failures}  # by records, or by "examples"
        found = [*of_gates(session, parts.get(session, "")), *of_tests(session)]
        failures += [one for one in found if (one.subject, one.line) not in known]
    named = {one.session for one in failures}
    for session, result in results.items():
        if result == "failed" and session not in named:
            lines = parts.get(session, log).strip().splitlines()[-LAST_LINES:]
            failures.append(Failure(session, f"nox -s {session}", "\n".join(lines)))
    commit = git("rev-parse", "--short=12", "HEAD").strip()
    return Outcome(commit, results, failures, described["versions"])


def git(*arguments: str) -> str:
    """Run git in the project."""
    command = ["git", "-C", str(project.ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def read_pages(root: Path, python: Path) -> dict[str, Any]:
    """Read how pages ran and in which versions, with the interpreter that ran them."""
    command = [str(python), "-m", "tools.nightly.pages"]
    path = os.pathsep.join([str(root / "src"), str(root)])
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        described: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        last = reason.strip().splitlines()[-LAST_LINES:]
        problem = "\n".join(["The records of the pages cannot be read:", *last])
        return NOTHING | {"pages": {"examples": [problem, None]}}
    return described


def by_session(log: str) -> dict[str, str]:
    """Divide a log of nox by its sessions."""
    _, *parts = STARTS.split(log)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def of_gates(session: str, log: str) -> Iterator[Failure]:
    """Read the findings of a build from what it printed."""
    if session != "docs":
        return
    for place, line, message in dict.fromkeys(FINDING.findall(log)):
        yield Failure(session, place, message, int(line) if line else None)


def of_tests(session: str) -> Iterator[Failure]:
    """Read which tests failed; a test of a page is named after the page."""
    file = JUNIT / f"{session}.xml"
    if not file.exists():
        return
    for case in ET.parse(file).iter("testcase"):  # noqa: S314 - pytest wrote it on this machine
        for problem in (*case.findall("failure"), *case.findall("error")):
            text = problem.text or ""
            name = f"{case.get('classname', '')}::{case.get('name', '')}".strip(":")
            subject = _page(name) or name
            yield Failure(session, subject, _error(problem, text), _line(subject, text))


def bisect(name: str, outcome: Outcome, folder: Path, minutes: float = MINUTES) -> None:
    """Bisect each page that failed; where one ends early or fails, say so in the log."""
    failed = {one.subject for one in outcome.failures if one.subject.startswith("examples/")}
    pages = sorted(page for page in failed if (project.ROOT / page).is_file())
    findings = folder / FINDINGS
    findings.mkdir(parents=True, exist_ok=True)
    options = ["--to-prereleases"] if name == "prerelease" else []
    end = time.monotonic() + minutes * 60
    for number, page in enumerate(pages):
        seconds = (end - time.monotonic()) / (len(pages) - number)
        file = findings / f"{Path(page).parent.name}-{Path(page).stem}.json"
        nox = [sys.executable, "-m", "nox", "-s", "bisect", "--", page, "--json", str(file)]
        print(f"Bisecting {page}, for {seconds / 60:.0f} minutes at most", flush=True)
        with subprocess.Popen(
            [*nox, *options], cwd=project.ROOT, start_new_session=True
        ) as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                print(f"The bisection of {page} took too long and was stopped", flush=True)
                os.killpg(process.pid, signal.SIGKILL)


def _page(test: str) -> str:
    """Name the page that a test runs; empty for other tests."""
    found = PAGE.search(test)
    pages: Iterable[Path] = project.EXAMPLES.rglob(f"{found[1]}.py") if found else ()
    return next((project.name_of(page) for page in pages), "")


def _line(subject: str, text: str) -> int | None:
    """Find the line of a page or a test in the text of its failure."""
    own = re.escape(Path(subject).name)
    places = re.findall(rf'File ".*?{own}", line (\d+)', text) if subject.endswith(".py") else []
    places = places or re.findall(r"^\S+\.py:(\d+): ", text, re.MULTILINE)
    return int(places[-1]) if places else None


def _error(problem: ET.Element, text: str) -> str:
    """Choose the error of a failed test: the last one that a traceback in it ends with."""
    errors = ERROR.findall(text)
    return errors[-1] if errors else problem.get("message") or "failed"
