"""The page that the canary breaks fails where it has to, and its failure is reported."""

import sys
from pathlib import Path

import pytest

from tests.hosting import hosted
from tools.nightly import canary
from tools.nightly.__main__ import main


@pytest.mark.fault
def test_the_broken_page_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_RUN_ID", "12")
    canary.run_broken(tmp_path, Path(sys.executable))
    with hosted() as hosting:
        assert main(["report", "canary", str(tmp_path)], hosting.service) == 0
        assert main(["canary", str(tmp_path)], hosting.service) == 0
        (issue,) = hosting.issues
    assert issue["state"] == "closed"
    assert canary.PAGE.as_posix() in issue["body"]
