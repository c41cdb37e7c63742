"""Downloads run in an empty folder, and get nothing from the environment of whoever runs them."""

import sys
from pathlib import Path

import pytest

from tools.downloads import sandbox
from tools.gallery import settings

PYTHON = Path(sys.executable)


@pytest.fixture
def here(tmp_path):
    """Make a sandbox with a cache beside it."""
    here = sandbox.Sandbox(tmp_path / "folder", tmp_path / "cache")
    here.take()
    return here


def test_the_folder_holds_only_what_was_taken(here, tmp_path):
    (here.folder / "old").touch()
    here.results.touch()
    (tmp_path / "page.py").write_text("print()")
    here.take(tmp_path / "page.py")
    assert [file.name for file in here.files()] == ["page.py"]
    assert not here.results.exists()


@pytest.mark.parametrize("version", ["1.0", "0.1.0.dev3%2Bg0123abc"])
def test_the_wheel_of_a_site_that_is_not_published_yet_is_the_built_one(here, tmp_path, version):
    wheel = f"smallport-{version}-py3-none-any.whl"
    script = '"smallport[onnx] @ {}", torch==2.0, see https://example.org/x.html\n'
    (tmp_path / "page.py").write_text(script.format(f"https://example.org/site/{wheel}"))
    here.take(tmp_path / "page.py")
    built = f"{sandbox.SITE.as_uri()}/{wheel}"
    assert (here.folder / "page.py").read_text() == script.format(built)


def test_a_run_has_the_cache_and_none_of_the_builds_variables(here, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "src")
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    variables = here.variables()
    assert "PYTHONPATH" not in variables
    assert "SMALLPORT_ASSETS" not in variables
    assert variables["SMALLPORT_CACHE_DIR"] == str(here.cache)


def test_a_run_that_fails_says_how(here):
    with pytest.raises(sandbox.RunError, match=r"(?s)failed:.*No module named 'absent'"):
        here.run(PYTHON, "-c", "import absent")


def test_a_run_that_takes_too_long_is_stopped(here, monkeypatch):
    monkeypatch.setenv(settings.PAGE_SECONDS, "0.2")
    with pytest.raises(sandbox.RunError, match=r"was stopped after 0\.2 s"):
        here.run(PYTHON, "-c", "import time; time.sleep(60)")


def test_a_script_gives_back_its_output(here):
    (here.folder / "page.py").write_text("print(3)")
    assert sandbox.run_script(PYTHON, "page.py", here) == ["3\n"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import warnings; warnings.warn('old')", "UserWarning: old"),
        ("import sys; sys.stderr.write('oh')", "wrote to standard error:\noh"),
        ("raise SystemExit", "ended the process before its last line"),
        ("open('out.txt', 'w').close()", r"left files behind: .*folder/out\.txt"),
        ("import pathlib; (pathlib.Path.home() / 'x').touch()", "left files behind: .*scratch/x"),
        ("import tempfile; tempfile.mkstemp()", "left files behind: .*scratch/tmp"),
        ("import asset_helpers", "No module named 'asset_helpers'"),  # which is in tests/
    ],
)
def test_a_script_that_breaks_a_rule_is_named(here, code, message):
    (here.folder / "page.py").write_text(code)
    with pytest.raises(sandbox.RunError, match=rf"(?s){message}"):
        sandbox.run_script(PYTHON, "page.py", here)


CELL = {
    "outputs": [
        {"output_type": "stream", "name": "stdout", "text": "3"},
        {"output_type": "stream", "name": "stderr", "text": "a bar"},
        {"output_type": "execute_result", "data": {"text/html": "<table><td>4</td></table>"}},
        {"output_type": "display_data", "data": {"image/png": ""}},
    ]
}


def test_streams_and_tables_are_told_apart():
    assert sandbox.stream(CELL, "stdout") == "3"
    assert sandbox.tables(CELL) == ["table:\n4"]
