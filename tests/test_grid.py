"""Test that ratios come from paired turns, cells from their settings, a grid from processes."""

import itertools
import json
import time
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
import torch

from smallport import lstm
from smallport.bench import grid
from smallport.bench.cells import read_grid
from smallport.bench.grid import measure_cell, measure_grid
from smallport.bench.memory import KEEP_MEMORY
from smallport.bench.parts import Setting, Variants, eager_variants


@pytest.fixture
def clock(monkeypatch):
    """Let time stand still, but for what a test adds to it."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: 2 * now[0])

    def pass_by(seconds):
        now[0] += seconds
        return 1.0  # what every call computes

    return pass_by


@pytest.fixture
def route(clock):
    """Take a millisecond a word in floats, a half in int8, and note what was asked for."""
    asked = []

    def variant(seconds):
        def ready(setting):
            asked.append(setting)
            return lambda: clock(seconds * setting.batch * setting.length)

        return ready

    made = Variants(variant(1e-3), variant(0.5e-3))
    return made, asked


def test_a_cell_holds_the_time_of_one_call(route):
    made, _ = route
    cell = measure_cell("eager", Setting("LSTM", 4, 25, 1), made, turn_seconds=0.35)
    assert cell.float32 == pytest.approx(0.1)
    assert cell.int8 == pytest.approx(0.05)
    assert (cell.ratio, cell.low, cell.high) == pytest.approx((2, 2, 2))
    assert cell.cores == pytest.approx(2)
    assert cell.place == ("eager", "LSTM", 4, 25, 1)
    assert str(cell) == "eager LSTM, 4 × 25 words, 1 thread"


@pytest.mark.parametrize(("turn_seconds", "counts"), [(0.33, (4, 7)), (0.01, (1, 1))])
def test_short_calls_are_repeated_until_the_turn_is_long_enough(turn_seconds, counts, clock):
    calls = {"float32": 0, "int8": 0}

    def variant(kind, seconds):
        def call():
            calls[kind] += 1
            return clock(seconds)

        return lambda _: call

    slow_and_fast = Variants(variant("float32", 0.1), variant("int8", 0.05))
    setting = Setting("LSTM", 1, 1, 1)
    measure_cell("eager", setting, slow_and_fast, repeats=3, turn_seconds=turn_seconds)
    in_turns = (calls["float32"] - 2, calls["int8"] - 2)  # two to count by
    assert in_turns == (3 * counts[0], 3 * counts[1])


def test_ratios_are_those_of_paired_turns(clock):
    # A machine that slows down by a factor of ten does so for both: no ratio but 2 may come of it.
    speed = itertools.chain([1] * 4, itertools.chain.from_iterable([n, n] for n in (1, 3, 10)))
    slow_and_fast = Variants(
        lambda _: lambda: clock(0.2 * next(speed)), lambda _: lambda: clock(0.1 * next(speed))
    )
    cell = measure_cell("x", Setting("model", 1, 1, 1), slow_and_fast, repeats=3, turn_seconds=0)
    assert (cell.low, cell.ratio, cell.high) == pytest.approx((2, 2, 2))
    assert cell.float32 == pytest.approx(0.6)


def test_the_interval_spans_all_turns(clock):
    fast = iter([0.1] * 2 + [0.1, 0.05, 0.2])
    route = Variants(lambda _: lambda: clock(0.2), lambda _: lambda: clock(next(fast)))
    cell = measure_cell("x", Setting("model", 1, 1, 1), route, repeats=3, turn_seconds=0)
    assert (cell.low, cell.ratio, cell.high) == pytest.approx((1, 2, 4))


def test_every_combination_is_measured_on_its_own(route):
    made, asked = route
    options = {"parts": ("model", "LSTM"), "batches": (1, 8), "lengths": (1, 5), "threads": (1, 2)}
    cells = measure_grid({"eager": made, "ONNX": made}, **options, repeats=1)
    assert len({cell.place for cell in cells}) == len(cells) == 32
    assert len(set(asked)) == 16
    for cell in cells:
        assert cell.float32 == pytest.approx(1e-3 * cell.batch * cell.length)


def test_routes_that_compute_something_else_are_not_compared(clock):
    def variants(float32, int8):
        return Variants(lambda _: lambda: clock(0.2) * float32, lambda _: lambda: clock(0.1) * int8)

    options = {"parts": ("model",), "batches": (1,), "lengths": (1,), "turn_seconds": 0}
    measure_grid({"eager": variants(1, 1.01), "ONNX": variants(1.0001, 1)}, **options)
    with pytest.raises(ValueError, match="ONNX float32, model differs from eager float32, model"):
        measure_grid({"eager": variants(1, 1), "ONNX": variants(1.1, 1.1)}, **options)
    with pytest.raises(ValueError, match="eager int8, model differs from eager float32, model"):
        measure_grid({"eager": variants(1, 1.2)}, **options)


def test_a_baseline_in_other_floats_is_refused():
    model = lstm.WordLanguageModel(50, lstm.LSTMConfig(8, 8, layers=1)).eval().double()
    with pytest.raises(TypeError, match="of the baseline is float64"):
        eager_variants(model)


def test_the_number_of_threads_is_put_back():
    def ready(setting):
        torch.set_num_threads(setting.threads)
        return lambda: time.sleep(1e-4) or 1.0

    before = torch.get_num_threads()
    options = {"parts": ("model",), "batches": (1,), "lengths": (1,), "threads": (before + 1,)}
    measure_grid({"x": Variants(ready, ready)}, **options, repeats=1, turn_seconds=0)
    assert torch.get_num_threads() == before


OPTIONS = ["--batches", "1", "2", "--lengths", "5", "--threads", "1", "--repeats", "3"]


@pytest.fixture
def in_this_process(monkeypatch, route):
    """Run jobs in this process, on small models, and list them."""
    made, _ = route
    jobs = []
    monkeypatch.setattr(grid, "eager_variants", lambda _: made)
    monkeypatch.setattr(grid, "onnx_variants", lambda *_: made)
    monkeypatch.setattr(grid.lstm, "PUBLISHED", grid.lstm.LSTMConfig(4, 4, layers=1))
    monkeypatch.setattr(grid, "uses_glibc", lambda: True)

    def run(command, *, check, env):
        assert check
        for name in KEEP_MEMORY:
            monkeypatch.delenv(name, raising=False)
            if name in env:
                monkeypatch.setenv(name, env[name])
        assert grid.main(command[3:]) == 0
        jobs.append(json.loads(command[-1]))

    monkeypatch.setattr(grid, "subprocess", SimpleNamespace(run=run))
    return jobs


def test_the_command_measures_in_several_processes(tmp_path, in_this_process, capsys):
    file = tmp_path / "mine.json"
    assert grid.main([str(file), *OPTIONS]) == 0
    assert capsys.readouterr().out == f"14 cells in {file}: int8 is faster in 14, slower in 0\n"
    found = read_grid(file)
    command = "python -m smallport.bench.grid mine.json --batches 1 2 --lengths 5 --threads 1"
    assert found.provenance.command == f"{command} --repeats 3"
    assert {cell.processes for cell in found.cells.values()} == {3}
    assert {place[:3] for place in found.cells if place[1] == "decoder"} == set(
        itertools.product(("eager", "ONNX", "eager, memory kept"), ("decoder",), (1, 2))
    )
    assert [job["process"] for job in in_this_process] == [1, 1, 2, 2, 3, 3]
    assert list(tmp_path.iterdir()) == [file], "parts are left behind"


def test_the_command_resumes_at_the_process_where_it_was(tmp_path, in_this_process, monkeypatch):
    file = tmp_path / "mine.json"
    run = grid.subprocess.run

    def interrupted(command, **options):
        if len(in_this_process) == 3:
            raise KeyboardInterrupt
        run(command, **options)

    monkeypatch.setattr(grid.subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        grid.main([str(file), *OPTIONS])
    monkeypatch.setattr(grid.subprocess, "run", run)
    grid.main([str(file), *OPTIONS])
    assert len(in_this_process) == 6
    assert [job["process"] for job in in_this_process] == [1, 1, 2, 2, 3, 3]


def test_a_part_of_other_options_is_measured_again(tmp_path, in_this_process):
    part = tmp_path / "part.json"
    job = grid.Job(1, ("eager",), ("LSTM",), (1,), (1,), 1, repeats=1)
    grid.start_job(job, part)
    assert [cell.place for cell in grid.measured_cells(job, part)] == [("eager", "LSTM", 1, 1, 1)]
    assert grid.measured_cells(replace(job, repeats=2), part) is None
    assert in_this_process == [json.loads(json.dumps(asdict(job)))]


@pytest.mark.usefixtures("in_this_process")
def test_a_job_runs_with_the_allocator_that_its_route_names(tmp_path, monkeypatch):
    job = grid.Job(1, ("eager, memory kept",), ("decoder",), (1,), (1,), 1, repeats=1)
    for name in KEEP_MEMORY:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="the allocator is not set as the name says"):
        grid.run_job(job, tmp_path / "part.json")
