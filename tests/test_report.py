"""Tests of :mod:`smallport.export.report`."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallport import __version__
from smallport.export.coverage import Coverage
from smallport.export.report import STAGES, ExportReport, StageReport, versions_used
from smallport.sweep.scoreboard import read_scoreboard


def report_with(*statuses):
    """Make a report of which the first stages have a status, and the others are not reached."""
    padded = [*statuses, *["not reached"] * (len(STAGES) - len(statuses))]
    stages = [StageReport(*pair, "found") for pair in zip(STAGES, padded, strict=True)]
    return ExportReport("llama", tuple(stages), {"torch": "2"}, "smallport check llama")


def test_all_stages_passed():
    report = report_with(*["passed"] * len(STAGES))
    assert report.passed()
    assert report.failure() is None


@pytest.mark.parametrize("place", range(len(STAGES)))
def test_one_stage_that_failed_is_enough(place):
    report = report_with(*["passed"] * place, "failed")
    assert not report.passed()
    assert report.failure() == report[STAGES[place]] == report.stages[place]


@pytest.mark.parametrize("place", range(len(STAGES)))
def test_a_stage_that_was_not_reached_did_not_pass(place):
    report = report_with(*["passed"] * place)
    assert not report.passed()
    assert report.failure() is None


@pytest.mark.parametrize("place", range(len(STAGES)))
def test_a_report_is_true_where_all_passed_that_was_asked_for(place):
    passed = report_with(*["passed"] * (place + 1))
    asked = replace(passed, until=STAGES[place])
    assert asked
    assert asked.passed()
    assert bool(passed) is (place == len(STAGES) - 1)
    failed = report_with(*["passed"] * place, "failed")
    assert not replace(failed, until=STAGES[place])


def test_a_mistyped_stage_is_a_key_error_that_lists_the_stages():
    with pytest.raises(KeyError, match="'exprted', only built, ran, exported"):
        report_with("failed")["exprted"]
    with pytest.raises(ValueError, match="no stage 'exprted'"):
        replace(report_with("failed"), until="exprted")


def test_the_text_of_a_report_is_what_the_command_prints():
    lines = str(report_with("passed", "failed")).splitlines()
    assert lines[0].startswith("built                passed")
    assert lines[1].startswith("ran                  FAILED")
    assert lines[2].startswith("not reached: exported, matches")
    assert lines[-4:] == ["with torch 2", "again: smallport check llama", "", "llama fails: ran"]


@pytest.mark.parametrize("later", ["passed", "failed"])
@pytest.mark.parametrize("earlier", ["failed", "not reached"])
def test_nothing_runs_after_a_stage_that_did_not_pass(earlier, later):
    with pytest.raises(ValueError, match="'built' did not pass"):
        report_with(earlier, later)


@pytest.mark.parametrize("status", ["skipped", "", "ok", "Passed"])
def test_there_is_no_fourth_status(status):
    with pytest.raises(ValueError, match="passed, failed or not reached"):
        StageReport("built", status, "found")


def test_there_is_no_other_stage():
    with pytest.raises(ValueError, match="no stage 'optimized'"):
        StageReport("optimized", "passed", "found")


def test_a_stage_says_what_it_found():
    with pytest.raises(ValueError, match="say what was found"):
        StageReport("built", "passed", "")


def test_a_stage_that_was_not_reached_compared_nothing():
    with pytest.raises(ValueError, match="'matches' was not reached"):
        StageReport("matches", "not reached", "exported failed", largest_difference=0.0)


@pytest.mark.parametrize("stages", [STAGES[:-1], STAGES[::-1], ()])
def test_a_stage_cannot_be_left_out_or_moved(stages):
    passed = tuple(StageReport(stage, "passed", "found") for stage in stages)
    with pytest.raises(ValueError, match="wanted the stages"):
        ExportReport("llama", passed, {}, "")


@given(
    st.integers(0, len(STAGES) - 1),
    st.none() | st.floats(allow_nan=False),
    st.text(),
    st.text(min_size=1),
)
def test_json_keeps_everything(place, difference, text, found):
    failed = StageReport(STAGES[place], "failed", found, 1.5, difference, text, text, text)
    stages = list(report_with(*["passed"] * place, "failed").stages)
    stages[place] = failed
    report = ExportReport(text, tuple(stages), {"torch": text}, text)
    written = json.dumps(report.to_json(), allow_nan=False)
    assert ExportReport.from_json(json.loads(written)) == report


def test_json_keeps_the_coverage_and_reports_of_before_have_none():
    report = replace(
        report_with("passed"), coverage=Coverage({"lengths": [1, 9]}, {"cache": "the cache"})
    )
    data = json.loads(json.dumps(report.to_json()))
    assert ExportReport.from_json(data) == report
    del data["coverage"]
    assert ExportReport.from_json(data).coverage == Coverage({}, {})


def test_json_keeps_a_difference_that_is_no_number():
    stages = list(report_with("passed", "passed", "passed", "failed").stages)
    stages[3] = StageReport("matches", "failed", "NaN", largest_difference=math.nan)
    report = ExportReport("llama", tuple(stages), {}, "")
    read = ExportReport.from_json(json.loads(json.dumps(report.to_json(), allow_nan=False)))
    difference = read["matches"].largest_difference
    assert difference is not None
    assert math.isnan(difference)


def test_json_of_a_later_schema_is_refused():
    data = report_with("passed").to_json()
    assert data["schema"] == 1
    with pytest.raises(ValueError, match="the schema is 2, and this release reads 1"):
        ExportReport.from_json(data | {"schema": 2})


def test_lines_are_as_long_as_they_may_be():
    stage = StageReport("built", "passed", "found " * 60, 1.0, 0.5, "there " * 40)
    report = replace(
        report_with("passed"),
        versions=dict.fromkeys("abcdefghij", "1.2.3.4"),
        coverage=Coverage({"lengths": list(range(99))}, {"cache": "the cache " * 30}),
        command="smallport check " + "long" * 50,
    )
    for width in (60, 100, 140):
        lines = f"{stage.text(width)}\n{report.verdict(width)}".splitlines()
        lines.remove(f"again: {report.command}")
        assert width - 10 < max(map(len, lines)) <= width


def test_the_last_line_says_within_what_a_model_passes():
    compared = {"number of tensors": [5], "lengths": [4, 9, 140], "batch sizes": [1, 4]}
    report = replace(
        report_with(*["passed"] * len(STAGES)),
        coverage=Coverage(compared, {"cache": "the cache, so and so"}),
    )
    assert report.verdict(200).splitlines()[-1] == (
        "llama passes every stage within 5 tensors, texts of 4 to 140 tokens, batches of 1 to 4; "
        "not compared: cache"
    )
    assert str(report_with("passed", "failed")).splitlines()[-1] == "llama fails: ran"


def test_a_single_tensor_or_token_is_in_the_singular():
    said = Coverage({"number of tensors": [1], "lengths": [1], "batch sizes": [1]}, {}).within()
    assert said == "1 tensor, texts of 1 token, batches of 1"


def test_json_of_a_report_with_a_stage_missing_is_refused():
    data = report_with("passed").to_json()
    data["stages"].pop()
    with pytest.raises(ValueError, match="wanted the stages"):
        ExportReport.from_json(data)


def test_a_commit_does_not_make_stored_verdicts_incomparable():
    here, stored = versions_used(), dict(read_scoreboard().reports["llama"].versions)
    assert here["smallport"] == __version__
    assert here.keys() == stored.keys()
    others = here.keys() - {"smallport"}
    if {name: here[name] for name in others} == {name: stored[name] for name in others}:
        assert here == stored
