"""Tests of :mod:`smallport.sweep.upstream`."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallport import measured
from smallport.export.report import STAGES
from smallport.sweep.upstream import KINDS, ExportTests, UpstreamTests, read_upstream
from tests.sweep_helpers import report_with

PASSING = report_with(*["passed"] * len(STAGES))
FAILING = report_with("passed", "failed", error="ValueError: odd")
SKIPPED = ExportTests((("generate", "Keeps state"),))
TESTED = ExportTests(tests="https://example.org/test_x.py")


def differing():
    stages = list(report_with("passed", "passed", "passed", "failed").stages)
    stages[3] = replace(stages[3], largest_difference=0.5)
    return replace(PASSING, stages=tuple(stages))


def facts(**architectures):
    return UpstreamTests("abc", "https://example.org/x.py", 0.05, architectures)


@pytest.mark.parametrize(
    ("theirs", "ours", "kind"),
    [
        (SKIPPED, FAILING, "agree"),
        (SKIPPED, differing(), "agree"),
        (SKIPPED, PASSING, "skipped"),
        (TESTED, PASSING, "agree"),
        (TESTED, FAILING, "fails"),
        (TESTED, differing(), "differs"),
        (replace(SKIPPED, tests=TESTED.tests), PASSING, "skipped"),
        (TESTED, None, "unknown"),
        (ExportTests(), PASSING, "unknown"),
    ],
)
def test_each_pair_has_its_kind(theirs, ours, kind):
    assert facts(x=theirs).kind("x", ours) == kind


def test_of_an_architecture_without_facts_nothing_is_known():
    assert facts().kind("x", PASSING) == "unknown"


@given(st.sampled_from([ExportTests(), SKIPPED, TESTED]), st.sampled_from([None, PASSING, FAILING]))
def test_every_pair_has_one_of_the_kinds(theirs, ours):
    assert facts(x=theirs).kind("x", ours) in KINDS


def test_the_stored_facts_name_where_they_were_read():
    stored = read_upstream()
    assert len(stored.commit) == 40
    assert stored.commit in stored.address
    assert 0 < stored.ignored < 1
    for theirs in stored.architectures.values():
        assert theirs.skips or theirs.tests
        assert all(len(reason) <= 60 for _, reason in theirs.skips)
        assert not theirs.tests or theirs.tests.startswith("https://github.com/huggingface/")


@pytest.mark.parametrize("results", [[], {}, {"commit": "a", "address": "b", "ignored": "x"}])
def test_other_results_are_an_error(tmp_path, results):
    file = tmp_path / "facts.json"
    measured.write(file, results, command="")
    with pytest.raises(ValueError, match="does not hold facts about tests"):
        read_upstream(file)
