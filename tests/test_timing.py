"""Times are those of the clock, and what is timed takes turns."""

import time

import numpy as np
import pytest
import torch

from smallport.timing import Timing, elapsed, time_interleaved


@pytest.fixture
def clock(monkeypatch):
    """Let time stand still, but for what a test adds to it; both clocks can be put wrong."""
    now = {"perf_counter": 0.0, "monotonic": 0.0}
    for clock_name in tuple(now):
        monkeypatch.setattr(time, clock_name, lambda name=clock_name: now[name])

    def pass_by(seconds, **wrong):
        for name, before in tuple(now.items()):
            now[name] = before + wrong.get(name, seconds)

    return pass_by


def test_runs_take_turns_after_the_warm_up(clock):
    calls = []
    runs = {"a": lambda: calls.append("a") or clock(1), "b": lambda: calls.append("b") or clock(2)}
    timings = time_interleaved(runs, repeats=3, warmup=2)
    assert calls == ["a", "b"] * 5
    assert list(timings) == ["a", "b"]
    assert timings["a"].seconds == (1, 1, 1)
    assert timings["b"].seconds == (2, 2, 2)


@pytest.mark.parametrize("wrong", [3.0, 0.4, 1.2, 61.0])
@pytest.mark.parametrize("name", ["perf_counter", "monotonic"])
def test_a_clock_that_runs_differently_or_jumps_is_noticed(clock, name, wrong):
    with pytest.raises(RuntimeError, match=r"a took .* a clock of this machine is wrong"):
        elapsed("a", lambda: clock(1.0, **{name: wrong}))


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_time_that_does_not_pass_is_noticed(clock, seconds):
    with pytest.raises(RuntimeError, match="the clock does not run"):
        elapsed("a", lambda: clock(seconds))


def test_clocks_may_differ_a_little(clock):
    assert elapsed("a", lambda: clock(1.0, monotonic=1.05)) == 1.0
    assert elapsed("a", lambda: clock(0.001, monotonic=0.004)) == pytest.approx(0.001)


@pytest.mark.parametrize("other", [2.1, torch.tensor([1.0, 2.0]), [np.full((2, 2), 1.2)]])
def test_other_results_are_not_compared(other):
    like = torch.ones(2, 2) if isinstance(other, list) else 1.0
    with pytest.raises(ValueError, match="its time cannot be compared"):
        time_interleaved({"a": lambda: like, "b": lambda: other}, repeats=1, within=0.1)
    time_interleaved({"a": lambda: like, "b": lambda: other}, repeats=1)


def test_results_that_differ_by_rounding_are_compared():
    runs = {"a": lambda: (torch.ones(3), "state"), "b": lambda: [np.full(3, 1.01), None]}
    assert set(time_interleaved(runs, repeats=1, within=0.1)) == {"a", "b"}


def test_without_warm_up_only_the_repeats_run():
    calls = []
    time_interleaved({"a": lambda: calls.append("a")}, repeats=1, warmup=0)
    assert calls == ["a"]


def test_nothing_to_repeat_is_refused():
    with pytest.raises(ValueError, match="repeats must be at least 1, not 0"):
        time_interleaved({"a": int}, repeats=0)


def test_one_disturbed_repeat_does_not_move_the_median():
    timing = Timing((1.0, 99.0, 1.25))
    assert (timing.median, timing.fastest, timing.slowest) == (1.25, 1.0, 99.0)
    assert str(timing) == "1.25 s (1 to 99)"
