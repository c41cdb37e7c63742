"""A reporter that is broken in whatever way raises the alarm."""

import json
from dataclasses import replace

import pytest

from tests.hosting import hosted
from tools.gallery import project
from tools.nightly import canary, report
from tools.nightly.__main__ import main, run_address
from tools.nightly.outcome import Failure, Outcome

PAGE = canary.PAGE.as_posix()
BROKEN = Failure("docs", PAGE, "AssertionError (at: assert not (size == 3))", 97)
OUTCOME = Outcome("abc123", {"docs": "failed"}, [BROKEN], {})


@pytest.fixture
def hosting(monkeypatch):
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/smallport")
    monkeypatch.setenv("GITHUB_RUN_ATTEMPT", "1")
    monkeypatch.setenv("GITHUB_RUN_ID", "12")
    with hosted() as service:
        yield service


@pytest.fixture
def folder(tmp_path):
    """Leave what the job that breaks the page leaves."""
    OUTCOME.write(tmp_path)
    expected = {"page": PAGE, "line": 97, "error": "AssertionError"}
    (tmp_path / canary.EXPECTED).write_text(json.dumps(expected))
    return tmp_path


@pytest.fixture
def command(hosting, folder):
    """Run a command of the nightly against the service."""

    def run(*arguments):
        return main([*arguments, str(folder)], hosting.service)

    return run


def alarms(hosting):
    """List the issues that raise the alarm and are open."""
    return [
        issue
        for issue in hosting.issues
        if issue["title"] == report.TITLES["alarm"] and issue["state"] == "open"
    ]


def test_a_report_is_found_and_closed_week_after_week(hosting, command, monkeypatch):
    for number in ("12", "123", "1234"):
        monkeypatch.setenv("GITHUB_RUN_ID", number)
        assert command("report", "canary") == 0
        assert hosting.issues[0]["state"] == "open"
        assert command("canary") == 0
        assert hosting.issues[0]["state"] == "closed"
    assert len(hosting.issues) == 1


def marked(run):
    """Write the body of the issue as a run writes it."""
    return report.marked("canary", "0" * 16, report.described("canary", OUTCOME, {}, run))


def not_called(*_):
    """Do nothing, as a job that did not start."""


def denied(hosting, command, _):
    hosting.faults = [None, (403, {})]
    assert command("report", "canary") == 1
    hosting.faults = []


def without_outcome(_, command, folder):
    (folder / "outcome.json").unlink()
    command("report", "canary")


def changed(**changes):
    def write(_, command, folder):
        failure = replace(BROKEN, **changes)
        Outcome("abc123", {"docs": "failed"}, [failure], {}).write(folder)
        command("report", "canary")

    return write


def all_passed(_, command, folder):
    Outcome("abc123", {"docs": "success"}, [], {}).write(folder)
    command("report", "canary")


def issue_edited(**changes):
    def edit(hosting, command, _):
        command("report", "canary")
        hosting.issues[0] |= changes

    return edit


def two_opened(hosting, command, _):
    command("report", "canary")
    hosting.add(hosting.issues[0]["body"])


def last_week_only(hosting, *_):
    hosting.add(marked(f"{run_address()[:-1]}0"))


def another_run_with_a_longer_number(hosting, *_):
    hosting.add(marked(f"{run_address()}1"))


def not_broken(_, command, folder):
    command("report", "canary")
    (folder / canary.EXPECTED).unlink()


@pytest.mark.parametrize(
    "breaks",
    [
        not_called,
        denied,
        without_outcome,
        changed(line=98),
        changed(line=None),
        changed(subject="examples/export/plot_12_tiny_llm_export.py"),
        changed(error="failed"),
        all_passed,
        issue_edited(state="closed"),
        issue_edited(labels=[]),
        issue_edited(body=""),
        two_opened,
        last_week_only,
        another_run_with_a_longer_number,
        not_broken,
    ],
)
def test_a_report_that_is_missing_or_wrong_raises_the_alarm(
    breaks, hosting, command, folder, capsys
):
    breaks(hosting, command, folder)
    assert command("canary") == 1
    assert "::error::" in capsys.readouterr().err
    assert len(alarms(hosting)) == 1


def test_the_second_alarm_updates_the_first(hosting, command):
    assert command("canary") == 1
    assert command("canary") == 1
    assert len(alarms(hosting)) == 1


def test_a_service_that_is_down_raises_the_alarm_by_the_exit_status(hosting, command, capsys):
    command("report", "canary")
    hosting.faults = [(500, {}) for _ in range(20)]
    assert command("canary") == 1
    assert "::error::The issues cannot be read or closed" in capsys.readouterr().err


def test_an_issue_that_cannot_be_closed_raises_the_alarm(hosting, command):
    command("report", "canary")
    hosting.faults = [None, None, None, (403, {})]
    assert command("canary") == 1
    assert len(alarms(hosting)) == 1


def test_a_reporter_that_does_not_find_its_issue_raises_the_alarm(
    hosting, command, monkeypatch, capsys
):
    command("report", "canary")
    monkeypatch.setattr(report, "only", lambda *_: None)
    assert command("canary") == 1
    assert "does not find its issue" in capsys.readouterr().err
    assert len(alarms(hosting)) == 1


def test_the_first_claim_of_the_page_is_turned_around():
    text, line = canary.broken((project.ROOT / canary.PAGE).read_text(encoding="utf-8"))
    assert text.splitlines()[line - 1].startswith("assert not (")
    compile(text, "page", "exec")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f():\n    assert 1\nassert 2, 'two'\n", "def f():\n    assert 1\nassert not (2)"),
        ("assert (\n    1\n    == 1\n)\nx = 1", "assert not (1\n    == 1)\nx = 1"),
    ],
)
def test_claims_over_lines_and_with_messages_are_turned_around(text, expected):
    assert canary.broken(text)[0] == expected


def test_a_page_without_a_claim_cannot_be_broken():
    with pytest.raises(ValueError, match="no assert outside of functions"):
        canary.broken("print(1)")


def test_the_copy_holds_one_page_and_what_it_needs(tmp_path):
    canary.copy_with_one_page(tmp_path / "copy", canary.PAGE)
    pages = [page.relative_to(tmp_path / "copy") for page in tmp_path.glob("copy/examples/*/*.py")]
    assert pages == [canary.PAGE]
    for name in ("docs/conf.py", "src/smallport/__init__.py", "tools/gallery/execute.py"):
        assert (tmp_path / "copy" / name).is_file()
