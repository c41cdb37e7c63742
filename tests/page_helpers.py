"""Run a page as somebody who downloaded it would, and say what is wrong with it."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.gallery import environment, execute, page_runs, reached, settings
from tools.lint import claims

RUNNER = Path(__file__).with_name("run_page.py")


@dataclass(frozen=True)
class PageRun:
    """A run of a page in an empty folder, with a home and temporary files of its own.

    Parameters
    ----------
    page
        The page.
    root
        Where the run takes place.
    done
        The process that ran it.
    """

    page: Path
    root: Path
    done: subprocess.CompletedProcess[str]

    def problems(self) -> Iterator[str]:
        """Say how the run fell short of what a download has to do."""
        mark, sandbox = self.root / "mark", self.root / "sandbox"
        output, errors = self.done.stdout[-2000:], self.done.stderr[-4000:]
        if self.done.returncode:
            yield f"{self.page.name} failed:\n{output}\n{errors}"
            return
        if not mark.exists():
            yield f"{self.page.name} ended the process before its own end"
            return
        if errors:
            yield f"{self.page.name} wrote to standard error:\n{errors}"
        places = reached.read(self.root / "results.jsonl")
        yield from map(str, claims.unreached(self.page, places))
        folder = sandbox / "empty"
        left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        if left := left + execute.left_in(sandbox):
            yield f"{self.page.name} left files behind: {left}"


def run_page(
    page: Path,
    root: Path,
    session: str,
    *arguments: str | Path,
    runner: Path = RUNNER,
    seconds: float | None = None,
) -> PageRun:
    """Run a copy of a page in an empty folder, and count the run if it is complete.

    Parameters
    ----------
    page
        The page.
    root
        A folder for the copy, the page's folders and its results.
    session
        Who runs it, for the count of complete runs.
    arguments
        More arguments for the runner.
    runner
        The script that runs it.
    seconds
        How long it may take.
    """
    root = Path(tempfile.mkdtemp(dir=root))
    sandbox, mark = root / "sandbox", root / "mark"
    (sandbox / "empty").mkdir(parents=True)
    (root / "downloads").mkdir()
    results = {settings.RESULTS_FILE: str(root / "results.jsonl")}
    done = subprocess.run(
        [sys.executable, runner, shutil.copy(page, root / "downloads"), mark, *arguments],
        cwd=sandbox / "empty",
        env=environment.page_environment(sandbox) | results,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if mark.exists():
        page_runs.note(page.stem, session)
    return PageRun(page, root, done)
