"""Run sessions as CI does, and print their times: ``python -m tools.ci SESSION ...``."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from tools.gallery import page_runs, project, settings

FOLDER = project.ROOT / ".nox"


def main(sessions: list[str]) -> int:
    """Run sessions up to the first that fails; fail with it, or where too many pages ran."""
    report, runs = FOLDER / "report.json", FOLDER / "page_runs.txt"
    FOLDER.mkdir(exist_ok=True)
    for file in (report, runs):
        file.unlink(missing_ok=True)
    os.environ[settings.PAGE_RUNS] = str(runs)
    nox = [sys.executable, "-m", "nox", "--stop-on-first-error", f"--report={report}"]
    status = subprocess.run([*nox, "-s", *sessions], cwd=project.ROOT, check=False).returncode
    if report.exists():
        print(f"\nMinutes:\n{table(json.loads(report.read_text('utf-8'))['sessions'])}\n")
    return page_runs.main() or status


def table(sessions: Iterable[Mapping[str, Any]]) -> str:
    """Write how many minutes each session took.

    Examples
    --------
    >>> lint = {"name": "lint", "duration": 21.0, "result": "success"}
    >>> print(table([lint, {"name": "tests", "duration": 150.0, "result": "failed"}]))
    lint              0.3
    tests             2.5 failed
    all               2.9
    """
    rows = [(one["name"], one["duration"], one["result"]) for one in sessions]
    rows.append(("all", sum(seconds for _, seconds, _ in rows), "success"))
    return "\n".join(
        f"{name:<16}{seconds / 60:>5.1f} {result}".removesuffix(" success")
        for name, seconds, result in rows
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
