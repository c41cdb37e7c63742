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


def test_more_processor_time_than_time_is_found(monkeypatch):
    monkeypatch.setattr(threads.time, "perf_counter", itertools.count(0.0, 1.0).__next__)
    monkeypatch.setattr(threads.time, "process_time", itertools.count(0.0, 2.0).__next__)
    with pytest.raises(RuntimeError, match=r"2\.000 s of processor time in 1\.000 s"):
        threads.use_one_thread()
