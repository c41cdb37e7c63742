"""What a page measured and worked on survives the file that a build reads."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallport.records import (
    RESULTS_FILE,
    Result,
    Source,
    read_results,
    read_sources,
    record,
    with_unit,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
BOUNDS = st.none() | NUMBERS
CORPUS = Source("corpus", "WikiText-2", "c" * 64)


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    file = tmp_path / "results.jsonl"
    monkeypatch.setenv(RESULTS_FILE, str(file))
    return file


@given(
    st.lists(
        st.builds(Result, st.text(), NUMBERS, st.text(), BOUNDS, BOUNDS),
        unique_by=lambda result: result.name,
    )
)
def test_any_result_survives_the_file(tmp_path_factory, results):
    with pytest.MonkeyPatch.context() as patch:
        file = tmp_path_factory.mktemp("results") / "results.jsonl"
        patch.setenv(RESULTS_FILE, str(file))
        for result in results:
            record(result)
        assert read_results(file) == results


@given(st.lists(st.builds(Source, st.text(), st.text(), st.text())))
def test_any_source_survives_the_file_once(tmp_path_factory, sources):
    with pytest.MonkeyPatch.context() as patch:
        file = tmp_path_factory.mktemp("results") / "results.jsonl"
        patch.setenv(RESULTS_FILE, str(file))
        for source in sources:
            record(source)
        assert read_sources(file) == list(dict.fromkeys(sources))


def test_results_and_sources_share_a_file(recorded):
    record(CORPUS)
    record(Result("loss", 3.1, "nats", at_most=3.5))
    record(CORPUS)
    assert read_sources(recorded) == [CORPUS]
    assert read_results(recorded) == [Result("loss", 3.1, "nats", at_most=3.5)]


def test_a_second_result_of_a_name_is_refused_and_a_source_of_it_is_not(recorded):
    record(Result("corpus", 3.1, "nats"))
    record(CORPUS)
    with pytest.raises(ValueError, match=r"^'corpus' is the name of two results of this page"):
        record(Result("corpus", 3.2, "nats"))
    assert read_results(recorded) == [Result("corpus", 3.1, "nats")]


def test_each_entry_is_a_line_of_json(recorded):
    record(Result("loss\n", 3.1, "nats"))
    record(CORPUS)
    lines = recorded.read_text(encoding="utf-8").splitlines()
    assert [list(json.loads(line)) for line in lines] == [["Result"], ["Source"]]


def test_nothing_is_recorded_where_there_is_no_build(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RESULTS_FILE, raising=False)
    record(CORPUS)
    record(Result("loss", 3.1, "nats"))
    assert list(tmp_path.iterdir()) == []


def test_no_file_holds_nothing(tmp_path):
    assert read_results(tmp_path / "results.jsonl") == []
    assert read_sources(tmp_path / "results.jsonl") == []


def test_claims_and_units_in_words():
    assert Result("x", 1, "s", at_least=1, at_most=2).claim == "at least 1 s and at most 2 s"
    assert Result("x", 1, "s", at_least=1).claim == "at least 1 s"
    assert Result("x", 1, "s").claim == ""
    assert with_unit(0.000_123_456_7, "s") == "0.000123457 s"
    assert with_unit(3, "") == "3"


@pytest.mark.parametrize(
    ("result", "holds"),
    [
        (Result("x", 1.0, ""), True),
        (Result("x", 1.0, "", at_most=1.0), True),
        (Result("x", 1.0, "", at_least=1.0), True),
        (Result("x", 1.1, "", at_most=1.0), False),
        (Result("x", 0.9, "", at_least=1.0), False),
        (Result("x", float("nan"), ""), False),
        (Result("x", float("inf"), "", at_least=1.0), False),
        (Result("x", 1.0, "", at_most=float("nan")), False),
    ],
)
def test_a_result_holds_within_its_bounds(result, holds):
    assert result.holds is holds
