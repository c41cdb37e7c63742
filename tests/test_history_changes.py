"""A change between version sets is marked where it is wider than what runs of one set show."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.history_helpers import entry, nights
from tools.history import changes
from tools.history.changes import LEAST_RUNS, Group, Step, Verdict, series
from tools.history.store import DIGITS

NUMBERS = st.floats(-1e6, 1e6).map(lambda number: float(f"{number:.{DIGITS}g}"))
RUNS = st.lists(NUMBERS, min_size=1, max_size=5)
ENOUGH = st.lists(NUMBERS, min_size=LEAST_RUNS, max_size=5)


def step(before, after):
    old, new = (("torch", "2.13.0"),), (("torch", "2.14.1"),)
    return Step(Group(old, tuple(before)), Group(new, tuple(after)))


def verdict(before, after):
    return step(before, after).verdict


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ([1, 1.1, 1.1, 1.25], [1.75, 1.6, 1.7, 1.6], Verdict.CHANGED),
        ([1.75, 1.6, 1.7, 1.6], [1, 1.1, 1.1, 1.25], Verdict.CHANGED),
        ([1, 1.1, 1.1, 1.25], [1.5, 1.6, 1.6, 1.75], Verdict.WITHIN),  # as far apart as wide
        ([1, 1.1, 1.1, 1.2], [1.15, 1.2, 1.3, 1.3], Verdict.WITHIN),
        ([1, 1, 1, 1], [1.5, 1.6, 2, 2.2], Verdict.WITHIN),
        ([1, 1.1, 1.1], [1.5, 1.6, 1.6, 1.7], Verdict.TOO_FEW),
        ([1], [2], Verdict.TOO_FEW),
        ([1], [1], Verdict.WITHIN),
        ([113.945] * 4, [113.947] * 4, Verdict.CHANGED),  # exact
        ([113.945] * 4, [113.946] * 4, Verdict.WITHIN),  # rounded
        ([0] * 4, [0] * 4, Verdict.WITHIN),
        ([0] * 4, [1e-9] * 4, Verdict.CHANGED),
        ([-2] * 4, [2] * 4, Verdict.CHANGED),
    ],
)
def test_the_rule(before, after, wanted):
    assert verdict(before, after) is wanted


@given(RUNS, RUNS)
def test_the_order_of_runs_and_of_version_sets_does_not_matter(before, after):
    assert verdict(before, after) is verdict(after, before)
    assert verdict(before, after) is verdict(before[::-1], sorted(after))


@given(RUNS, RUNS)
def test_ranges_that_meet_are_never_marked(before, after):
    assume(max(min(before), min(after)) <= min(max(before), max(after)))
    assert verdict(before, after) is Verdict.WITHIN


@given(RUNS, RUNS)
def test_few_runs_are_never_marked(before, after):
    assume(min(len(before), len(after)) < LEAST_RUNS)
    assert verdict(before, after) is not Verdict.CHANGED


@given(RUNS, RUNS, NUMBERS)
def test_one_more_run_never_makes_a_difference_out_of_none(before, after, more):
    assume(verdict(before, after) is Verdict.WITHIN)
    assert verdict([*before, more], after) is Verdict.WITHIN


@given(ENOUGH, RUNS)
def test_the_sign_and_a_power_of_two_change_nothing_beyond_rounding(before, after):
    assert verdict([-one for one in before], [-one for one in after]) is verdict(before, after)


@given(ENOUGH, st.floats(1.01, 1e3), st.booleans())
def test_a_shift_by_more_than_twice_the_width_is_marked(before, factor, up):
    width = max(before) - min(before)
    largest = max(map(abs, before))
    shift = factor * (2 * width + 1e-3 * largest + 1e-3) * (1 if up else -1)
    assert verdict(before, [one + shift for one in before]) is Verdict.CHANGED


@given(NUMBERS, NUMBERS)
def test_exact_numbers_are_marked_beyond_rounding_only(one, other):
    marked = verdict([one] * 4, [other] * 4) is Verdict.CHANGED
    assert marked == (abs(one - other) > changes.rounding([one, other]))


def test_rounded_numbers_of_one_value_never_differ():
    for value in (0.1234565, 9.999995, 99999.95, 1.5e-7):
        near = [float(f"{value * (1 + nudge):.{DIGITS}g}") for nudge in (-1e-9, 1e-9)]
        assert verdict([near[0]] * 4, [near[1]] * 4) is Verdict.WITHIN


def test_chance_alone_is_marked_less_than_once_in_1000_times():
    chance = random.Random(0)
    drawn = ([chance.gauss(1, 0.1) for _ in range(2 * LEAST_RUNS)] for _ in range(20_000))
    marked = sum(verdict(one[:LEAST_RUNS], one[LEAST_RUNS:]) is Verdict.CHANGED for one in drawn)
    assert 0 < marked < 20


def test_numbers_are_arranged_by_version_set_with_the_oldest_versions_first():
    runs = [
        *nights(3, 4, torch="2.9.1", first=5),
        *nights(1, 2, torch="2.13.0"),
        entry(9, 5, torch="2.14.0rc1"),
        entry(10, 6, torch="2.14.0"),
    ]
    (found,) = series(sorted(runs, key=lambda one: one.environment.date))
    assert [group.values for group in found.groups] == [(3, 4), (1, 2), (5,), (6,)]


def test_another_unit_is_not_compared():
    (found,) = series([*nights(100, 100, 100, unit="kB"), *nights(0.1, 0.1, first=5)])
    assert (found.unit, [group.values for group in found.groups]) == ("MB", [(0.1, 0.1)])


def test_other_processors_and_assets_are_not_compared():
    runs = [
        entry(0, 1),
        entry(1, 2, processor="Another"),
        entry(2, 3, cores=64),
        entry(3, 4, assets="published"),
        entry(4, 5, int8_dot_products=("avx512_vnni",)),
        entry(5, 6, torch="2.14.1"),
    ]
    first, *others = changes.by_machine(runs)
    assert first == [runs[0], runs[5]]
    assert sorted(map(len, others)) == [1] * 4


def test_a_version_set_of_too_few_runs_is_passed_over():
    runs = [
        *nights(1, 1, 1, 1, torch="2.12.0"),
        *nights(2, torch="2.13.0", first=4),
        *nights(3, 3, 3, 3, torch="2.14.1", first=5),
    ]
    (found,) = series(runs)
    assert [one.verdict for one in found.steps] == [Verdict.TOO_FEW, Verdict.CHANGED]
    assert [one.upgrades for one in found.steps] == [
        (("torch", "2.12.0", "2.13.0"),),
        (("torch", "2.12.0", "2.14.1"),),
    ]


def test_a_number_that_an_older_build_did_not_measure_begins_later():
    (found,) = series([*nights(1, 1, name="other"), *nights(2, first=2, torch="2.14.1")])
    assert (found.name, len(found.groups), found.steps) == ("size", 1, [])


def test_a_step_tells_whether_the_page_changed():
    (same,) = series([entry(0, 1), entry(1, 1, torch="2.14.1")])
    (other,) = series([entry(0, 1), entry(1, 1, torch="2.14.1", script="2")])
    assert [one.steps[0].page_changed for one in (same, other)] == [False, True]
