"""Tests of :mod:`smallport.sweep.scoreboard`."""

import json
import math
from dataclasses import replace

import pytest

from smallport import measured
from smallport.export.coverage import Coverage
from smallport.export.report import STAGES
from smallport.sweep.scoreboard import (
    SOUND,
    comparable,
    contradictions,
    less_compared,
    read_scoreboard,
    save,
    stored_seconds,
)
from smallport.sweep.verdicts import Conditions, Verdict
from tests.sweep_helpers import report_with

ALL = ["passed"] * len(STAGES)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "sweep.json"


@pytest.fixture
def kept(file):
    """Keep what a sweep of two architectures found, and read it back."""
    reports = [report_with(*ALL, name="a"), report_with("passed", "failed", name="b")]
    save(file, ["a", "b"], reports, command="smallport sweep")
    return read_scoreboard(file)


def test_what_was_kept_is_read_back(kept):
    assert kept.registered == ("a", "b")
    assert kept.reports["a"] == report_with(*ALL, name="a")
    assert kept.provenance.command == "smallport sweep"
    assert [one.passed for one in kept.counts()] == [2, 1, 1, 1, 1, 1, 1, 1]
    assert {one.total for one in kept.counts()} == {2}


def test_a_difference_that_is_no_number_is_kept(file):
    report = report_with("passed", "passed", "passed", "failed")
    stages = list(report.stages)
    stages[3] = replace(stages[3], largest_difference=math.nan)
    save(file, ["llama"], [replace(report, stages=tuple(stages))], command="")
    difference = read_scoreboard(file).reports["llama"]["matches"].largest_difference
    assert math.isnan(difference)


def test_an_architecture_without_a_report_is_not_left_out(file):
    save(file, ["a", "b", "c"], [report_with(*ALL, name="a")], command="")
    scoreboard = read_scoreboard(file)
    assert scoreboard.registered == ("a", "b", "c")
    assert [(one.passed, one.unknown, one.total) for one in scoreboard.counts()] == [(1, 2, 3)] * 8


def test_an_architecture_that_is_not_registered_is_refused(file):
    with pytest.raises(ValueError, match="save: b: registered by nothing"):
        save(file, ["a"], [report_with(*ALL, name="b")], command="")
    assert not file.exists()


def test_what_is_out_of_scope_counts_and_says_why(file):
    names = ["a:masked-lm", "b:masked-lm", "c:masked-lm"]
    reason = {"b:masked-lm": "its input is sound"}
    save(file, names, [report_with(*ALL, name=names[0])], command="", out_of_scope=reason)
    scoreboard = read_scoreboard(file)
    assert scoreboard.out_of_scope == reason
    assert scoreboard.task == "masked-lm"
    found = [(one.passed, one.unknown, one.out_of_scope, one.total) for one in scoreboard.counts()]
    assert found == [(1, 1, 1, 3)] * 8


def test_a_file_is_for_one_task(file):
    with pytest.raises(ValueError, match="of causal-lm, masked-lm: store each task in a file"):
        save(file, ["a", "a:masked-lm"], [], command="")
    assert not file.exists()


def test_how_long_each_took_is_known_from_the_stored_results():
    seconds = stored_seconds()
    llama = read_scoreboard().reports["llama"]
    assert seconds["llama"] == sum(stage.seconds for stage in llama.stages) > 0
    assert {*read_scoreboard().reports} <= {*seconds}


def test_results_of_something_else_are_refused(file):
    measured.write(file, [1, 2], command="")
    with pytest.raises(ValueError, match="does not hold the results of a sweep"):
        read_scoreboard(file)


@pytest.mark.usefixtures("kept")
def test_a_skipped_stage_is_refused(file):
    data = json.loads(file.read_text(encoding="utf-8"))
    data["results"]["reports"][1]["stages"][2]["status"] = "passed"
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ValueError, match="'ran' did not pass"):
        read_scoreboard(file)


def verdict(report, until=STAGES[-1]):
    return Verdict(report, Conditions({}, ""), until, 1.0, None)


def test_the_same_verdicts_do_not_contradict(kept):
    assert contradictions(map(verdict, kept.reports.values()), kept) == []


def test_what_was_not_asked_for_contradicts_nothing(kept):
    now = verdict(report_with("passed", "passed", name="a"), until="ran")
    assert contradictions([now], kept) == []


def test_a_verdict_on_another_model_contradicts(kept):
    now = kept.reports["a"]
    stages = (replace(now.stages[0], found="LlamaForCausalLM of 7 parameters"), *now.stages[1:])
    (found,) = contradictions([verdict(replace(now, stages=stages))], kept)
    assert found.startswith("a: LlamaForCausalLM of 7 parameters was built, and found on ")


def test_another_verdict_contradicts(kept):
    now = report_with("passed", "passed", "failed", name="b", error="ValueError: odd")
    found = contradictions([verdict(now), verdict(kept.reports["a"])], kept)
    assert [line.partition(" on ")[0] for line in found] == [
        "b: 'ran' is passed, and was failed",
        "b: 'exported' is failed, and was not reached",
    ]
    assert found[1].endswith("ValueError: odd")


def test_verdicts_of_other_versions_are_not_compared(kept):
    other = verdict(report_with("failed", name="b", versions={"torch": "3"}))
    same = verdict(kept.reports["a"])
    unknown = verdict(report_with(*ALL, name="c"))
    assert comparable([other, same, unknown], kept) == [same]
    with pytest.raises(ValueError, match="one without a kept report of the same versions"):
        contradictions([other, same], kept)


def test_comparing_nothing_is_an_error(kept):
    with pytest.raises(ValueError, match="contradictions: no verdict"):
        contradictions([], kept)


COMPARED = {
    "outputs": ["logits", "present"],
    "number of tensors": [5],
    "lengths": [1, 4, 33, 600],
    "batch sizes": [1, 2, 4],
    "model itself": list(SOUND),
}


def covering(*statuses, **changes):
    """Make a report on "a" that compared what is given."""
    report = report_with(
        *statuses, name="a", versions={"transformers": changes.pop("version", "1")}
    )
    return replace(report, coverage=Coverage(COMPARED | changes, {}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"outputs": ["logits"], "number of tensors": [1]}, ["outputs present", "tensors 4 of 5"]),
        ({"batch sizes": [2, 4]}, ["batch sizes 1"]),
        ({"lengths": [4, 600]}, ["lengths 33"]),
        ({"lengths": [4, 33, 600, 700], "number of tensors": [7]}, []),
    ],
)
def test_what_is_compared_no_more_is_told_whatever_the_versions(file, changes, told):
    save(file, ["a"], [covering(*ALL)], command="")
    now = covering("passed", "passed", "passed", "passed", version="2", **changes)
    lost = less_compared([verdict(now, until="matches")], read_scoreboard(file))
    assert [line.split(": ")[2].split(", which")[0] for line in lost] == told


def test_a_verdict_that_repeats_the_stored_one_is_told(file):
    report = covering(*ALL)
    report = replace(report, stages=tuple(replace(one, seconds=1.5) for one in report.stages))
    save(file, ["a"], [report], command="")
    (repeated,) = less_compared([verdict(report)], read_scoreboard(file))
    assert repeated.startswith("a: the export took the 1.5 s of ")


def test_a_model_that_is_wrong_itself_is_told(file):
    save(file, ["a"], [covering(*ALL)], command="")
    now = verdict(covering(*ALL, **{"model itself": ["mask", "step by step"]}))
    lost = less_compared([now], read_scoreboard(file))
    assert lost == ["a: the model itself is wrong: text alone, earlier logits"]


def test_a_program_that_was_not_compared_cannot_be_compared_less(file):
    save(file, ["a"], [covering("passed", "passed", "failed")], command="")
    now = verdict(covering(*ALL, outputs=[]))
    assert less_compared([now], read_scoreboard(file)) == []
