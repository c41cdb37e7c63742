"""Tests of :mod:`smallport.sweep.counts`."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallport.export.report import STAGES
from smallport.sweep.counts import (
    LONGEST_CAUSE,
    Cause,
    StageCount,
    count_stages,
    counts_table,
    frequent_causes,
)
from tests.sweep_helpers import report_with


def test_each_stage_is_counted_by_itself():
    reports = [
        report_with(*["passed"] * len(STAGES), name="a"),
        report_with("passed", "passed", "failed", name="b"),
        report_with("failed", name="c"),
    ]
    counts = {one.stage: one for one in count_stages(reports, 5)}
    assert counts["built"] == StageCount("built", 2, 1, 0, 2)
    assert counts["exported"] == StageCount("exported", 1, 1, 1, 2)
    assert counts["ONNX Runtime matches"] == StageCount("ONNX Runtime matches", 1, 0, 2, 2)


def test_a_stage_that_nobody_reached_passed_nowhere():
    counts = count_stages([report_with("passed", "passed")], 1)
    assert [one.passed for one in counts] == [1, 1] + [0] * 6
    assert [one.not_reached for one in counts] == [0, 0] + [1] * 6


@given(
    st.lists(st.tuples(st.integers(0, len(STAGES)), st.booleans()), max_size=20),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_nothing_is_lost_from_the_denominator(endings, unknown, out_of_scope):
    reports = []
    for number, (passed, failed) in enumerate(endings):
        more = ["failed"] if failed and passed < len(STAGES) else []
        reports.append(report_with(*["passed"] * passed, *more, name=str(number)))
    registered = len(endings) + unknown + out_of_scope
    counts = count_stages(reports, registered, out_of_scope)
    assert {one.total for one in counts} == {registered}
    assert {one.out_of_scope for one in counts} == {out_of_scope}
    assert {one.unknown for one in counts} == {unknown}
    passed = [one.passed for one in counts]
    assert passed == sorted(passed, reverse=True)


def test_encoders_are_counted_without_the_stage_that_they_lack():
    whole = report_with(*["passed"] * len(STAGES), name="bert:masked-lm")
    stages = tuple(one for one in whole.stages if one.stage != "decodes")
    counts = count_stages([whole, replace(whole, stages=stages, name="esm:masked-lm")], 2)
    assert [one.stage for one in counts] == [one for one in STAGES if one != "decodes"]
    assert {one.passed for one in counts} == {2}


@pytest.mark.parametrize("registered", [1, 5])
def test_an_architecture_counts_once(registered):
    with pytest.raises(ValueError, match=f"2 reports on 1 of {registered} architectures"):
        count_stages([report_with("passed"), report_with("failed")], registered)


def test_there_cannot_be_more_reports_than_architectures():
    with pytest.raises(ValueError, match="2 reports on 2 of 1 architectures"):
        count_stages([report_with("passed", name="a"), report_with("failed", name="b")], 1)


def test_a_table_has_a_row_for_each_stage():
    table = counts_table(count_stages([report_with("passed", "failed")], 2))
    assert list(table["stage"]) == list(STAGES)
    assert list(table.iloc[1]) == ["ran", 0, 0, 0, 1, 0, 1, 0, 2]


def test_rejections_and_differences_are_counted_apart():
    def failing(name, **what):
        report = report_with(*["passed"] * 3, "failed", name=name)
        stages = [*report.stages]
        stages[3] = replace(stages[3], **what)
        return replace(report, stages=tuple(stages))

    reports = [
        failing("rejects", rejected=("batch 2, 0 + 300 tokens (Guard failed)",)),
        failing("rejects more", rejected=("batch 1", "batch 2")),
        failing("differs, too", rejected=("batch 1",), largest_difference=0.5),
        failing("breaks"),
    ]
    matches = count_stages(reports, 5)[3]
    assert (matches.failed, matches.rejecting, matches.differing) == (4, 2, 1)
    assert list(counts_table([matches]).iloc[0]) == ["matches", 0, 1, 2, 1, 0, 1, 0, 5]


def failing(name, error, place=2):
    return report_with(*["passed"] * place, "failed", name=name, error=error)


def test_the_most_frequent_cause_is_first():
    reports = [
        failing("b", "ValueError: odd"),
        failing("c", "TypeError: even"),
        failing("a", "TypeError: even"),
        report_with(*["passed"] * len(STAGES), name="d"),
    ]
    assert frequent_causes(reports) == [
        Cause("exported", "TypeError: even", ("a", "c")),
        Cause("exported", "ValueError: odd", ("b",)),
    ]


def test_numbers_and_quoted_names_do_not_tell_causes_apart():
    reports = [
        failing("a", "RuntimeError: size 3 of 'x' differs by 1.5e-3\nmore"),
        failing("b", 'RuntimeError: size 40 of "yy" differs by 2\nother'),
    ]
    [cause] = frequent_causes(reports)
    assert cause.what == "RuntimeError: size … of … differs by …"
    assert cause.architectures == ("a", "b")


@pytest.mark.parametrize(
    ("errors", "what"),
    [
        (
            ("AssertionError: Guard failed: a.size()[1] <= 64", "AssertionError: Guard failed: x"),
            "AssertionError: Guard failed",
        ),
        (
            ("E: Constraints violated (L['a'])!", "E: Constraints violated (L['a'], L['b'])!"),
            "E: Constraints violated",
        ),
        (
            ("E: Failed. Next steps:\n- one\nError: No ONNX function found for <op>. Why\nmore",),
            "E: No ONNX function found for <op>. Why",
        ),
    ],
)
def test_dimensions_of_a_model_do_not_tell_causes_apart(errors, what):
    reports = [failing(str(number), error) for number, error in enumerate(errors)]
    assert [cause.what for cause in frequent_causes(reports)] == [what]


def test_stages_tell_causes_apart():
    reports = [failing("a", "ValueError: odd", 2), failing("b", "ValueError: odd", 6)]
    assert {cause.stage for cause in frequent_causes(reports)} == {"exported", "ONNX"}


def test_without_an_error_what_was_found_is_the_cause():
    assert frequent_causes([failing("a", "")]) == [Cause("exported", "found", ("a",))]


def test_a_long_error_is_cut():
    [cause] = frequent_causes([failing("a", "x" * 1000)])
    assert len(cause.what) == LONGEST_CAUSE
