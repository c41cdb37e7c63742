"""Tests of :mod:`smallport.sweep.judge`."""

import errno
import os

import pytest

from smallport.export.report import STAGES
from smallport.sweep import fork_server, judge
from smallport.sweep.judge import Task, check_in_process
from smallport.sweep.limits import Limits
from smallport.sweep.verdicts import NoVerdict, conditions
from tests.sweep_helpers import STAND_IN_SERVER, stand_in, started

WAYS = [
    "a command",
    pytest.param(
        "a copy", marks=pytest.mark.skipif(not fork_server.AVAILABLE, reason="it is for Linux")
    ),
]


@pytest.fixture(params=WAYS)
def verdict_on(request, tmp_path, monkeypatch):
    """Give a function that finds out about an architecture by a process that stands in.

    The process is started by its own command, or by the fork server.
    """
    child = stand_in(tmp_path)
    server = fork_server.ForkServer(["-X", "faulthandler", STAND_IN_SERVER, child[-1]])
    if request.param == "a copy":
        child = judge.CHILD
        monkeypatch.setattr(fork_server, "SHARED", server)

    def verdict(name, until=STAGES[-1], **limits):
        found = check_in_process(Task(name, until, Limits(**limits), child))
        assert found.model_type == name
        assert started(tmp_path) == [name]
        return found

    yield verdict
    server.stop()


def statuses(verdict):
    return [stage.status for stage in verdict.report.stages]


def test_what_the_process_reports_is_the_verdict(verdict_on):
    verdict = verdict_on("good")
    assert verdict.report.passed()
    assert verdict.megabytes is None or verdict.megabytes > 1


def test_what_was_not_asked_for_is_not_reached(verdict_on):
    verdict = verdict_on("good", until="exported")
    assert statuses(verdict) == ["passed"] * 3 + ["not reached"] * 5
    assert not verdict.report.passed()


def test_a_stage_that_failed_stays_as_it_was_reported(verdict_on):
    verdict = verdict_on("bad")
    assert verdict.report.failure().stage == "exported"
    assert verdict.report.failure().error == "ValueError: bad cannot do that"


@pytest.mark.parametrize(
    ("name", "stage", "found"),
    [
        ("segfaults", "exported", "The process was killed by SIGSEGV."),
        ("exits", "built", "The process exited with status 3."),
        ("silent", "ran", "The process ended without a report on every stage."),
        ("skips", "stays dynamic", "The process ended without a report on every stage."),
    ],
)
def test_what_ends_the_process_is_the_failure_of_the_stage_it_was_in(
    name, stage, found, verdict_on
):
    verdict = verdict_on(name)
    place = STAGES.index(stage)
    later = len(STAGES) - place - 1
    assert statuses(verdict) == ["passed"] * place + ["failed"] + ["not reached"] * later
    assert verdict.report[stage].found == found
    assert verdict.report[stage].error.startswith(f"ProcessEnded: {found}")
    assert not verdict.report.passed()


@pytest.mark.parametrize(
    ("name", "cause", "stage", "limits"),
    [
        ("hangs", "ran out of 2 s (in ran)", "ran", {"seconds": 2}),
        ("dawdles", "ran out of 1 s (before the first stage)", None, {"seconds": 1}),
        ("eats", "ran out of 300 MB of memory (in matches)", "matches", {"megabytes": 300}),
    ],
)
def test_a_limit_is_no_verdict_and_is_remembered(name, cause, stage, limits, verdict_on):
    found = verdict_on(name, **limits)
    assert found == NoVerdict(name, cause, stage, conditions(name), **limits)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("full", "the disk is full (in ONNX)"),
        ("unwritten", "the disk is full (in ONNX)"),
        ("exhausted", "the memory of this machine is used up (in ONNX)"),
        (
            "killed",
            "the process was killed by SIGKILL, as the system does where memory runs out (in ONNX)",
        ),
        (
            "unbegun",
            "the process exited with status 1 (before the first stage): ImportError: no torch",
        ),
    ],
)
def test_an_accident_is_no_verdict(name, cause, verdict_on):
    found = verdict_on(name)
    assert str(found) == f"{name}: no verdict: {cause}"
    assert not found.limit()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_without_room_for_the_process_is_no_verdict(number, monkeypatch):
    def no_room(**_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(judge.tempfile, "TemporaryDirectory", no_room)
    assert str(check_in_process(Task("gpt2"))) == "gpt2: no verdict: the disk is full"


def test_where_it_crashed_is_in_the_error(verdict_on):
    error = verdict_on("segfaults").report.failure().error
    assert "Segmentation fault" in error
    assert "stand_in.py" in error


def test_a_crash_after_the_last_report_changes_nothing(verdict_on):
    assert verdict_on("late").report.passed()
