"""Which functions a page runs, told by coverage.py, against which pages a change would run again.

coverage.py knows nothing of the recorder. Each page runs once under it, child processes included.
For functions drawn at random, a copy of the project in which such a function raises an error then
has to call every page stale that ran the function. Pages that are called stale and did not run it
are counted: they would run again needlessly, since records know modules and not functions.
"""

import ast
import os
import random
import subprocess
import sys
from pathlib import Path

import coverage
import pytest

from smallport import files
from tests import test_mutations
from tools.gallery import environment, project

pytestmark = pytest.mark.oracle

RUNNER = Path(__file__).with_name("run_page.py")
SOURCE = project.ROOT / "src" / "smallport"
DRAWN = int(os.environ.get("ORACLE_FUNCTIONS", "50"))
decided_for = test_mutations.decided_for


def functions() -> list[tuple[str, str, set[int]]]:
    """List the functions of the package: file, name, and the lines of their bodies."""
    found = []
    for file in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for parent in (tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))):
            prefix = f"{parent.name}." if isinstance(parent, ast.ClassDef) else ""
            for node in parent.body:
                if isinstance(node, ast.FunctionDef):
                    body = node.body[1:] if ast.get_docstring(node) else node.body
                    lines = {
                        line for part in body for line in range(part.lineno, part.end_lineno + 1)
                    }
                    if lines:
                        found.append((project.name_of(file), prefix + node.name, lines))
    return found


def executed_by(page: Path, folder: Path) -> dict[str, set[int]]:
    """Run a page under coverage.py; return the lines of the package that ran, by file."""
    scratch = folder / "scratch"
    (scratch / "empty").mkdir(parents=True)
    settings = folder / "coveragerc"
    data = folder / "data"
    settings.write_text(
        f"[run]\nsource = {SOURCE}\nparallel = true\npatch = subprocess\ndata_file = {data}\n"
        "sigterm = true\n"
    )
    coverage_run = [sys.executable, "-m", "coverage", "run"]
    subprocess.run(
        [*coverage_run, f"--rcfile={settings}", RUNNER, page, folder / "mark"],
        cwd=scratch / "empty",
        env=environment.page_environment(scratch),
        capture_output=True,
        check=False,  # a page that measures time may fail here, and what ran before counts
    )
    combined = coverage.CoverageData(str(data))
    for part in folder.glob("data.*"):
        one = coverage.CoverageData(str(part))
        one.read()
        combined.update(one)
    return {
        project.name_of(Path(file)): set(combined.lines(file)) for file in combined.measured_files()
    }


def test_every_page_that_runs_a_function_is_stale_when_the_function_changes(tmp_path):
    os.environ["SMALLPORT_CACHE_DIR"] = str(files.cache_folder())
    pages = list(project.scripts())
    executed = {page.stem: executed_by(page, tmp_path / page.stem) for page in pages}
    drawn = random.Random(0).sample(functions(), DRAWN)
    stale = decided_for([("raising", file, name) for file, name, _ in drawn], tmp_path / "copy")
    missed, needless, ran = [], 0, 0
    for (file, name, lines), found in zip(drawn, stale[1:-1], strict=True):
        users = {page for page in executed if lines & executed[page].get(file, set())}
        ran += len(users)
        missed += [f"{page} ran {name} of {file}" for page in users - set(found)]
        needless += len(set(found) - users)
    sys.stdout.write(f"{DRAWN} functions: {ran} runs of pages needed, {needless} more called for\n")
    assert stale[0] == stale[-1] == {}
    assert not missed
    unused = [page for page, files_of in executed.items() if not any(files_of.values())]
    assert not unused, "these pages ran nothing: is coverage.py measuring?"
    assert ran, "no page ran any of these functions: is coverage.py measuring?"
