"""False claims fail, hollow claims are refused, and failures happen as they were announced."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from smallport.checks import RESULTS_FILE, Result, check, raises, report
from smallport.records import read_results

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SENSIBLE = st.floats(min_value=0.1, max_value=10) | st.floats(min_value=-10, max_value=-0.1)


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    file = tmp_path / "results.jsonl"
    monkeypatch.setenv(RESULTS_FILE, str(file))
    return file


@given(SENSIBLE, SENSIBLE, SENSIBLE)
def test_a_value_passes_exactly_when_it_is_within_its_bounds(value, one, other):
    low, high = sorted([one, other])
    if low <= value <= high:
        check("x", value, at_least=low, at_most=high)
    else:
        with pytest.raises(AssertionError, match=r"x: claimed at least .* and at most .* measured"):
            check("x", value, at_least=low, at_most=high)


@given(NUMBERS)
def test_bounds_are_inclusive(value):
    check("x", value, at_least=value, at_most=value)


@given(NUMBERS, NUMBERS)
def test_a_value_outside_its_bound_is_never_passed_over(value, bound):
    assume(value != bound)
    bounds = {"at_most": bound} if value > bound else {"at_least": bound}
    with pytest.raises(AssertionError, match="x: claimed at "):
        check("x", value, **bounds)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("bounds", [{"at_most": 1}, {"at_least": 1}, {"at_least": 0, "at_most": 1}])
def test_what_is_no_number_fails_under_any_bounds(recorded, value, bounds):
    with pytest.raises(AssertionError, match=f"^x: claimed at .*, measured {value:g}$"):
        check("x", value, **bounds)
    assert not recorded.exists()


def test_a_failure_names_claim_and_measurement_with_their_unit(recorded):
    with pytest.raises(
        AssertionError, match=r"^size: claimed at most 79\.75 MB, measured 113\.945 MB$"
    ):
        check("size", 113.945412, "MB", at_most=79.75)
    assert not recorded.exists()


# --- claims that say nothing


def test_nothing_claimed_is_refused(recorded):
    with pytest.raises(ValueError, match=r"^x: nothing is claimed\. Pass .* or call report"):
        check("x", 1.0)
    assert not recorded.exists()


@pytest.mark.parametrize(
    "bounds",
    [
        {"at_most": math.inf},
        {"at_least": -math.inf},
        {"at_most": math.nan},
        {"at_least": math.nan},
        {"at_least": 0, "at_most": math.inf},
        {"at_least": -math.inf, "at_most": 2},
        {"at_least": math.nan, "at_most": 2},
        {"at_least": 2, "at_most": 1},
        {"at_least": math.inf, "at_most": -math.inf},
    ],
)
def test_bounds_that_nothing_reaches_or_nothing_meets_are_refused(recorded, bounds):
    with pytest.raises(ValueError, match=r"^x: .* is no claim\. Pass finite bounds"):
        check("x", 1.5, **bounds)
    assert not recorded.exists()


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (3.5, {"at_most": 1e9}),
        (3.5, {"at_least": -1e9}),
        (3.5, {"at_least": 3, "at_most": 1e9}),
        (3.5, {"at_least": -1e9, "at_most": 4}),
        (5e6, {"at_least": 1}),
        (1.5, {"at_least": 0}),
        (0.0, {"at_most": 10}),
        (-3.5, {"at_most": 1e9}),
        (1e-9, {"at_least": -5, "at_most": 5}),
    ],
)
def test_a_bound_absurdly_far_from_the_value_is_refused(recorded, value, bounds):
    with pytest.raises(ValueError, match=r"^x: measured .*, claimed .* First look whether the fun"):
        check("x", value, **bounds)
    assert not recorded.exists()


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (0.0, {"at_most": 1e-5}),
        (0.0, {"at_least": 0.0, "at_most": 0.0}),
        (0.0, {"at_least": -0.01, "at_most": 0.01}),
        (1e-12, {"at_most": 0.5}),
        (-1e-12, {"at_least": -0.5}),
        (0.0003, {"at_least": -0.01, "at_most": 0.01}),
        (0.0009, {"at_least": 0}),
        (28.892, {"at_least": 28.88, "at_most": 28.90}),
        (250.0, {"at_least": 0.25}),
        (0.86, {"at_least": 0.1}),
        (7e-8, {"at_most": 1e-5}),
    ],
)
def test_sound_claims_raise_no_false_alarm(recorded, value, bounds):
    check("x", value, **bounds)
    assert [result.value for result in read_results(recorded)] == [value]


@given(NUMBERS, NUMBERS)
def test_a_claim_fails_or_is_refused_or_is_near_its_value(value, bound):
    try:
        check("x", value, at_most=bound)
    except (AssertionError, ValueError):
        return
    assert value <= bound <= 1000 * max(abs(value), 1e-3)


# --- what is recorded


def test_nothing_is_written_outside_a_build(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    check("loss", 3.1, "nats", at_most=3.5)
    report("speed", 3.1, "×")
    monkeypatch.setenv(RESULTS_FILE, "")
    check("loss", 3.1, "nats", at_most=3.5)
    report("speed", 3.1, "×")
    assert list(tmp_path.iterdir()) == []


def test_results_are_read_back_in_order_and_in_full(recorded):
    check("loss", 3.1, "nats", at_most=3.5)
    check("speed-up «int8»\n", 2, at_least=1.5)
    report("words", 33_278)
    assert read_results(recorded) == [
        Result("loss", 3.1, "nats", at_most=3.5),
        Result("speed-up «int8»\n", 2.0, "", at_least=1.5),
        Result("words", 33_278.0, ""),
    ]


@pytest.mark.parametrize("first", [check, report])
@pytest.mark.parametrize("second", [check, report])
def test_one_name_for_two_results_is_refused_in_a_build(recorded, first, second):
    bounds = {check: {"at_most": 2.0}, report: {}}
    first("loss", 1.0, "nats", **bounds[first])
    with pytest.raises(ValueError, match=r"^'loss' is the name of two results .*: rename one"):
        second("loss", 1.5, "nats", **bounds[second])
    assert [result.value for result in read_results(recorded)] == [1.0]


def test_a_name_may_return_on_another_page(recorded, monkeypatch):
    check("loss", 1.0, at_most=2)
    monkeypatch.setenv(RESULTS_FILE, str(recorded.with_name("other.jsonl")))
    check("loss", 1.5, at_most=2)
    assert [result.value for result in read_results(recorded)] == [1.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_report_of_what_is_no_number_fails(recorded, value):
    with pytest.raises(AssertionError, match=f"^x: claimed a finite number, measured {value:g} s$"):
        report("x", value, "s")
    assert not recorded.exists()


@given(NUMBERS)
def test_any_number_may_be_reported(value):
    report("x", value)


# --- announced failures


def fail(message="the shape (3, 4) does not fit", error=KeyError):
    raise error(message)


@pytest.mark.parametrize("match", ["shape (3, 4)", ("the shape", "does not fit")])
def test_an_announced_failure_passes_and_its_message_is_kept(match):
    with raises(RuntimeError, match=match) as failure:
        fail(error=RuntimeError)
    assert failure.message == "the shape (3, 4) does not fit"


@given(st.text(min_size=1))
def test_the_match_is_plain_text_and_no_pattern(text):
    with raises(RuntimeError, match=text) as failure:
        fail(f"before {text} after", RuntimeError)
    assert failure.message == f"before {text} after"


def test_a_pattern_is_not_searched_for():
    with (
        pytest.raises(AssertionError, match="and the message is now"),
        raises(KeyError, match="s.*t"),
    ):
        fail()


def test_nothing_raised_is_red_and_says_what_was_announced():
    with (
        pytest.raises(
            AssertionError,
            match=r"^announced KeyError with 'one' and 'two', and nothing was raised: rewrite",
        ),
        raises(KeyError, match=("one", "two")),
    ):
        pass


def test_another_message_is_red_and_both_are_shown():
    with (
        pytest.raises(
            AssertionError,
            match=r"^announced RuntimeError with 'no shape', and the message is now: the shape \(3",
        ) as red,
        raises(RuntimeError, match=("the shape", "no shape")),
    ):
        fail(error=RuntimeError)
    assert red.value.__suppress_context__, "one error is shown, with both messages in it"


def test_another_exception_passes_through_with_its_own_message():
    with pytest.raises(OSError, match=r"^disk full$"), raises(RuntimeError, match="disk"):
        fail("disk full", OSError)


def test_a_subclass_of_the_announced_exception_is_one():
    with raises(LookupError, match="gone") as failure:
        fail("gone", KeyError)
    assert "gone" in failure.message


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_ending_the_process_passes_through(stop):
    with pytest.raises(stop), raises(RuntimeError, match="x"):
        raise stop


@pytest.mark.parametrize(
    ("expected", "match"),
    [
        (Exception, "x"),
        (BaseException, "x"),
        (RuntimeError, ""),
        (RuntimeError, ()),
        (RuntimeError, ("x", "")),
    ],
)
def test_an_announcement_that_any_failure_would_meet_is_refused(expected, match):
    entered = False
    with (
        pytest.raises(ValueError, match=f"^raises\\({expected.__name__}, .* any failure"),
        raises(expected, match=match),
    ):
        entered = True
    assert not entered


def test_a_failed_check_is_no_announced_failure():
    with pytest.raises(AssertionError, match=r"^x: claimed"), raises(RuntimeError, match="claimed"):
        check("x", 2, at_most=1)


@pytest.mark.parametrize("unit", ["bits", "nat", "GiB", "x"])
def test_a_unit_that_no_other_page_has_is_refused(unit):
    with pytest.raises(ValueError, match=f"loss: '{unit}' is not a unit of this site"):
        check("loss", 1.0, unit, at_most=2.0)
    with pytest.raises(ValueError, match=f"loss: '{unit}' is not a unit of this site"):
        report("loss", 1.0, unit)
