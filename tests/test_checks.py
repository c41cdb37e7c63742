"""A claim that does not hold is an error, and one that does is written down where a build asks."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallport.checks import (
    RESULTS_FILE,
    Result,
    Source,
    check,
    read_results,
    read_sources,
    record,
    with_unit,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    file = tmp_path / "results.jsonl"
    monkeypatch.setenv(RESULTS_FILE, str(file))
    return file


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_value_passes_exactly_when_it_is_within_its_bounds(value, low, high):
    if low <= value <= high:
        check("x", value, at_least=low, at_most=high)
    else:
        with pytest.raises(AssertionError, match=r"x: claimed at least .* and at most .* measured"):
            check("x", value, at_least=low, at_most=high)


def test_bounds_are_inclusive():
    check("x", 2, at_least=2, at_most=2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("bounds", [{}, {"at_most": math.inf}, {"at_least": -math.inf}])
def test_what_is_no_number_fails_under_any_bounds(recorded, value, bounds):
    with pytest.raises(AssertionError, match=f"x: claimed .*, measured {value:g}"):
        check("x", value, **bounds)
    assert not recorded.exists()


def test_a_failure_names_claim_and_measurement_with_their_unit(recorded):
    with pytest.raises(
        AssertionError, match=r"^size: claimed at most 79\.75 MB, measured 113\.945 MB$"
    ):
        check("size", 113.945412, "MB", at_most=79.75)
    assert not recorded.exists()


def test_a_claim_that_forbids_everything_fails():
    with pytest.raises(AssertionError):
        check("x", 1.0, at_most=math.nan)


def test_nothing_is_written_outside_a_build(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    check("loss", 3.1, "nats", at_most=3.5)
    monkeypatch.setenv(RESULTS_FILE, "")
    check("loss", 3.1, "nats", at_most=3.5)
    assert list(tmp_path.iterdir()) == []


def test_results_are_read_back_in_order(recorded):
    check("loss", 3.1, "nats", at_most=3.5)
    check("speed-up «int8»\n", 2, at_least=1.5)
    check("words", 33_278)
    assert read_results(recorded) == [
        Result("loss", 3.1, "nats", at_most=3.5),
        Result("speed-up «int8»\n", 2.0, "", at_least=1.5),
        Result("words", 33_278.0, ""),
    ]


@given(st.lists(st.builds(Result, st.text(), NUMBERS, st.text(), st.none() | NUMBERS)))
def test_any_result_survives_the_file(tmp_path_factory, results):
    with pytest.MonkeyPatch.context() as patch:
        file = tmp_path_factory.mktemp("results") / "results.jsonl"
        patch.setenv(RESULTS_FILE, str(file))
        for result in results:
            record(result)
        assert read_results(file) == results


def test_no_file_holds_no_results(tmp_path):
    assert read_results(tmp_path / "results.jsonl") == []


def test_claims_and_units_in_words():
    assert Result("x", 1, "s", at_least=1, at_most=2).claim == "at least 1 s and at most 2 s"
    assert Result("x", 1, "s").claim == ""
    assert with_unit(0.000_123_456_7, "s") == "0.000123457 s"


def test_sources_are_recorded_once_beside_the_results(tmp_path, monkeypatch):
    file = tmp_path / "results.jsonl"
    monkeypatch.setenv(RESULTS_FILE, str(file))
    corpus = Source("corpus", "WikiText-2", "c" * 64)
    record(corpus)
    check("loss", 3.1, "nats", at_most=3.5)
    record(corpus)
    assert read_sources(file) == [corpus]
    assert [result.name for result in read_results(file)] == ["loss"]


def test_nothing_is_recorded_where_there_is_no_build(tmp_path, monkeypatch):
    monkeypatch.delenv(RESULTS_FILE, raising=False)
    record(Source("corpus", "WikiText-2", "c" * 64))
    assert read_sources(tmp_path / "results.jsonl") == []
