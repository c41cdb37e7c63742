"""Sizes are those of the file, times those of the clock, and the machine is the one at hand."""

import itertools
import os
import time

import pytest
import torch
from torch import nn

from smallport import measure
from smallport.lstm import PUBLISHED, WordLanguageModel
from smallport.measure import (
    Machine,
    Timing,
    int8_dot_products,
    processor_name,
    state_dict_megabytes,
    this_machine,
    time_interleaved,
    usable_cores,
)


def test_size_is_that_of_the_saved_file(tmp_path):
    model = nn.Linear(300, 200)
    file = tmp_path / "model.pt"
    torch.save(model.state_dict(), file)
    assert state_dict_megabytes(model) * 1e6 == pytest.approx(file.stat().st_size, abs=500)


def test_size_of_the_published_architecture():
    with torch.device("meta"):
        model = WordLanguageModel(33_278, PUBLISHED)
    assert state_dict_megabytes(model.to_empty(device="cpu")) == pytest.approx(113.945, abs=0.01)


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


def test_the_machine_is_described():
    machine = this_machine()
    assert machine.processor
    assert 1 <= machine.cores <= os.cpu_count()
    assert machine.threads == torch.get_num_threads()
    assert str(machine).startswith(f"{machine.processor}, {machine.cores} cores")


def test_a_machine_without_int8_instructions_says_so():
    assert str(Machine("Z80", (), 1, 2)) == "Z80, 1 core, 2 threads, int8 dot products: none"


def test_only_int8_dot_products_are_named(monkeypatch):
    capabilities = {"avx2": True, "avx_vnni": False, "avx512_vnni": True, "architecture": "x86"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert int8_dot_products() == ("avx512_vnni",)


def test_a_hidden_capability_is_not_named(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert int8_dot_products() == ()
    assert str(this_machine()).endswith("int8 dot products: none")


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel name\t: Acme Turbo @ 3: GHz\n", "Acme Turbo @ 3: GHz"),
        ("processor\t: 0\nCPU part\t: 0xd0c\n", "aarch64"),
        (None, "aarch64"),
    ],
)
def test_the_processor_has_a_name_on_every_system(monkeypatch, tmp_path, cpuinfo, name):
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo)
    monkeypatch.setattr(measure, "Path", lambda _: file)
    monkeypatch.setattr(measure.platform, "processor", str)
    monkeypatch.setattr(measure.platform, "machine", lambda: "aarch64")
    assert processor_name() == name


def test_cores_are_counted_where_affinity_is_unknown(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
