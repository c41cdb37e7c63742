"""Test that one thread is set, and that more are found."""

import itertools

import pytest
import torch

from smallport import threads


@pytest.fixture(autouse=True)
def restore_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_one_thread_is_set():
    torch.set_num_threads(2)
    threads.use_one_thread()
    assert torch.get_num_threads() == 1


def test_a_library_with_more_threads_is_found(monkeypatch):
    torch.set_num_threads(2)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    with pytest.raises(RuntimeError, match=r"more than one thread: \{'get_num_threads': '2'"):
        threads.use_one_thread()


@pytest.mark.parametrize(
    ("passed", "own", "used", "cause"),
    [
        (1.0, 1.0, 2.0, r"more than one thread: 2\.000 s of .* one thread took 1\.000 s"),
        (0.3, 1.0, 1.0, r"one thread took 1\.000 s .* in 0\.300 s: a clock .* is wrong"),
        (0.0, 1.0, 1.0, r"a clock of this machine is wrong"),
        (0.5, 1.0, 2.0, r"a clock of this machine is wrong"),
    ],
)
def test_more_threads_and_wrong_clocks_are_told_apart(passed, own, used, cause, monkeypatch):
    steps = {"perf_counter": passed, "thread_time": own, "process_time": used}
    for clock, step in steps.items():
        monkeypatch.setattr(threads.time, clock, itertools.count(0.0, step).__next__)
    with pytest.raises(RuntimeError, match=cause):
        threads.use_one_thread()
