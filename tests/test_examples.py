"""Run every page as somebody who downloaded it would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smallport import records
from tools.gallery import execute, project, settings
from tools.lint import claims

RUNNER = Path(__file__).with_name("run_page.py")
PAGES = list(project.scripts())


@pytest.mark.page
@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_page_runs_where_it_was_downloaded_to(page, tmp_path):
    downloads, folder, scratch = tmp_path / "downloads", tmp_path / "empty", tmp_path / "scratch"
    for made in (downloads, folder, scratch):
        made.mkdir()
    downloaded = shutil.copy(page, downloads)
    mark, results = tmp_path / "mark", tmp_path / "results.jsonl"
    done = subprocess.run(
        [sys.executable, RUNNER, downloaded, mark],
        cwd=folder,
        env=execute.page_environment(scratch) | {settings.RESULTS_FILE: str(results)},
        capture_output=True,
        text=True,
        timeout=settings.page_seconds(os.environ),
        check=False,
    )
    assert done.returncode == 0, (
        f"{page.name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    )
    assert mark.exists(), f"{page.name} ended the process before its own end"
    assert done.stderr == "", f"{page.name} wrote to standard error:\n{done.stderr[-4000:]}"
    names = [result.name for result in records.read_results(results)]
    failures = [" ".join([one.error, *one.texts]) for one in records.read_announcements(results)]
    unmet = "\n".join(map(str, claims.unmet(page, names, failures)))
    assert not unmet, unmet
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    left += execute.left_in(scratch)
    assert not left, f"{page.name} left files behind: {left}"


def test_there_are_pages_to_run():
    assert PAGES
