"""A page ran at a commit of this project, and on a date that has come."""

import dataclasses
import subprocess

import pytest

from smallport import files
from tools.gallery import origin, project, runs

MADE = "2024-01-01T00:00:00+00:00"


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Make a repository of one commit, and describe a run at it on the day after."""
    monkeypatch.setattr(project, "ROOT", tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        for what, value in (("NAME", "a"), ("EMAIL", "a@example.org"), ("DATE", MADE)):
            monkeypatch.setenv(f"GIT_{name}_{what}", value)
    for command in (["init", "--quiet"], ["commit", "-qm", "one", "--allow-empty"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    commit = files.git(tmp_path, "rev-parse", "--short=12", "HEAD")
    return runs.Environment(commit, "2024-01-02T00:00:00+00:00", "p", (), 2, {}, "embedded")


@pytest.mark.parametrize("dirty", ["", "+"])
def test_a_run_at_a_commit_and_after_it_is_possible(dirty, environment):
    at = dataclasses.replace(environment, commit=environment.commit + dirty)
    assert origin.doubt(at) == ""


@pytest.mark.parametrize("commit", ["0123456789ab", "0123456789ab+", "", origin.NO_CHECKOUT])
def test_a_commit_of_another_repository_is_named(commit, environment):
    found = origin.doubt(dataclasses.replace(environment, commit=commit))
    assert found.endswith("which the repository of this checkout does not have")


def test_a_tree_is_no_commit(environment):
    tree = files.git(project.ROOT, "rev-parse", "HEAD^{tree}")
    assert "does not have" in origin.doubt(dataclasses.replace(environment, commit=tree))


@pytest.mark.parametrize(
    ("date", "why"),
    [
        ("2026-02-30T00:00:00+00:00", "which is no date"),
        ("yesterday", "which is no date"),
        ("2024-01-02", "a date without its time zone"),
        ("2023-12-31T00:00:00+00:00", "before its commit "),
        ("2999-12-31T00:00:00+00:00", "which is still to come"),
    ],
)
def test_an_impossible_date_is_named(date, why, environment):
    assert why in origin.doubt(dataclasses.replace(environment, date=date))


def test_without_a_checkout_no_commit_is_possible(tmp_path, environment, monkeypatch):
    monkeypatch.setattr(project, "ROOT", tmp_path / "elsewhere")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert "does not have" in origin.doubt(environment)
    without = dataclasses.replace(environment, commit=origin.NO_CHECKOUT)
    assert origin.doubt(without) == ""
