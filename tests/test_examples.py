"""Run every page as somebody who downloaded it would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RUNNER = Path(__file__).with_name("run_page.py")
PAGES = sorted(EXAMPLES.rglob("*.py"))


@pytest.mark.page
@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_page_runs_where_it_was_downloaded_to(page, tmp_path):
    downloads, folder = tmp_path / "downloads", tmp_path / "empty"
    downloads.mkdir()
    folder.mkdir()
    downloaded = shutil.copy(page, downloads)
    done = subprocess.run(
        [sys.executable, RUNNER, downloaded],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (
        f"{page.name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    )
    assert done.stderr == "", f"{page.name} wrote to standard error:\n{done.stderr[-4000:]}"
    left_behind = sorted(path.name for path in folder.rglob("*"))
    assert not left_behind, f"{page.name} left files in the folder it ran in: {left_behind}"


def test_there_are_pages_to_run():
    assert len(PAGES) >= 3
