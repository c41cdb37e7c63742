"""Downloads run in an empty folder, and lend nothing from whoever runs them."""

import sys

import pytest

from tools.downloads import landing
from tools.gallery import settings


@pytest.fixture
def here(tmp_path):
    """Give a folder to land in, with a cache beside it."""
    here = landing.Landing(tmp_path / "folder", tmp_path / "cache")
    here.take()
    return here


def test_nothing_is_there_but_what_was_taken(here, tmp_path):
    (here.folder / "old").touch()
    here.results.touch()
    (tmp_path / "page.py").write_text("print()")
    here.take(tmp_path / "page.py")
    assert [file.name for file in here.folder.iterdir()] == ["page.py"]
    assert not here.results.exists()


def test_a_run_has_its_own_cache_and_none_of_the_builds_variables(here, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "src")
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    variables = here.variables()
    assert "PYTHONPATH" not in variables
    assert "SMALLPORT_ASSETS" not in variables
    assert variables["SMALLPORT_CACHE_DIR"] == str(here.cache)


def test_a_run_gives_back_what_it_printed(here):
    assert here.run(sys.executable, "-c", "print(3)") == "3\n"


def test_a_run_that_fails_says_how(here):
    with pytest.raises(landing.RunError, match=r"(?s)failed:.*No module named 'absent'"):
        here.run(sys.executable, "-c", "import absent")


def test_a_run_that_takes_too_long_is_stopped(here, monkeypatch):
    monkeypatch.setenv(settings.PAGE_SECONDS, "0.2")
    with pytest.raises(landing.RunError, match=r"was stopped after 0\.2 s"):
        here.run(sys.executable, "-c", "import time; time.sleep(60)")


def test_streams_are_told_apart():
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": "3"},
        {"output_type": "stream", "name": "stderr", "text": "a bar"},
        {"output_type": "execute_result", "data": {}},
    ]
    assert landing.streams({"outputs": outputs}, "stdout") == ["3"]
