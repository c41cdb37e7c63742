"""Times are those of the clock, and what is timed takes turns."""

import itertools
import time

import pytest

from smallport.timing import Timing, time_interleaved


def test_runs_take_turns_after_the_warm_up(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    calls = []
    runs = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b") or next(ticks)}
    timings = time_interleaved(runs, repeats=3, warmup=2)
    assert calls == ["a", "b"] * 5
    assert list(timings) == ["a", "b"]
    assert timings["a"].seconds == (1, 1, 1)
    assert timings["b"].seconds == (2, 2, 2)


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
