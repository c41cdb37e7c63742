"""Workflows that stopped, or failed, are noticed by those that still run."""

import datetime as dt

import pytest

from tests.hosting import hosted
from tools.gallery import project
from tools.nightly import watch
from tools.nightly.__main__ import main

RUN = "https://github.com/somebody/smallport/actions/runs/9"


def ended(days, conclusion="success"):
    began = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
    return {
        "run_started_at": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "conclusion": conclusion,
        "html_url": RUN,
    }


@pytest.fixture
def hosting():
    with hosted() as service:
        service.runs = {workflow: [ended(1.5)] for workflow in watch.LIMITS}
        yield service


def test_workflows_that_ran_of_late_raise_no_alarm(hosting):
    assert main(["watch"], hosting.service) == 0
    assert hosting.issues == []


@pytest.mark.parametrize(
    ("workflow", "runs", "problem"),
    [
        ("latest.yml", [], "latest.yml never ran. Start it by hand once"),
        ("latest.yml", [ended(2.1)], "latest.yml ran 2 days ago. Enable it"),
        ("latest.yml", [ended(0.1, "failure"), ended(1)], f"ended with failure. See {RUN}"),
        ("latest.yml", [ended(0.1, "timed_out")], "ended with timed_out"),
        ("prereleases.yml", [ended(60)], "prereleases.yml ran 60 days ago"),
        ("canary.yml", [ended(9.1)], "canary.yml ran 9 days ago"),
    ],
)
def test_a_workflow_that_stopped_or_failed_raises_the_alarm(
    workflow, runs, problem, hosting, capsys
):
    hosting.runs[workflow] = runs
    assert main(["watch"], hosting.service) == 1
    assert problem in capsys.readouterr().err
    (issue,) = hosting.issues
    assert problem in issue["body"]
    assert main(["watch"], hosting.service) == 1
    assert hosting.comments == {}
    hosting.runs[workflow] = [ended(0.1)]
    assert main(["watch"], hosting.service) == 0
    assert issue["state"] == "closed"


def test_another_workflow_that_stops_is_news(hosting):
    hosting.runs["latest.yml"] = []
    main(["watch"], hosting.service)
    hosting.runs["canary.yml"] = []
    main(["watch"], hosting.service)
    assert len(hosting.issues) == 1
    assert "canary.yml never ran" in hosting.comments[1][0]


def test_with_warn_nothing_is_written_and_the_status_is_0(hosting, capsys):
    hosting.runs["latest.yml"] = []
    assert main(["watch", "--warn"], hosting.service) == 0
    assert "::warning::latest.yml never ran" in capsys.readouterr().err
    assert hosting.writes() == []


def test_a_service_that_is_down_is_a_warning_or_an_error(hosting, capsys):
    hosting.faults = [(500, {}) for _ in range(5)]
    assert main(["watch", "--warn"], hosting.service) == 0
    assert "::warning::" in capsys.readouterr().err
    hosting.faults = [(500, {}) for _ in range(5)]
    assert main(["watch"], hosting.service) == 1


def test_the_workflows_that_are_watched_are_there():
    for workflow in watch.LIMITS:
        assert (project.ROOT / ".github" / "workflows" / workflow).is_file()
