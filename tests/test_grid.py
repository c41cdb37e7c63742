"""Ratios come from paired turns, cells from their own settings, contradictions from intervals."""

import itertools
import time

import pytest
import torch

from smallport.bench import grid
from smallport.bench.cells import read_grid
from smallport.bench.grid import measure_cell, measure_grid
from smallport.bench.parts import Setting, Variants


@pytest.fixture
def clock(monkeypatch):
    """Let time stand still, but for what a test adds to it."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: 2 * now[0])

    def pass_by(seconds):
        now[0] += seconds

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
    assert cell.float32_seconds == pytest.approx(0.1)
    assert cell.int8_seconds == pytest.approx(0.05)
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
            clock(seconds)

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
    assert cell.float32_seconds == pytest.approx(0.6)


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
        assert cell.float32_seconds == pytest.approx(1e-3 * cell.batch * cell.length)


def test_the_number_of_threads_is_put_back():
    def ready(setting):
        torch.set_num_threads(setting.threads)
        return lambda: time.sleep(1e-4)

    before = torch.get_num_threads()
    options = {"parts": ("model",), "batches": (1,), "lengths": (1,), "threads": (before + 1,)}
    measure_grid({"x": Variants(ready, ready)}, **options, repeats=1, turn_seconds=0)
    assert torch.get_num_threads() == before


def test_the_command_measures_what_it_is_told_and_writes_it(tmp_path, monkeypatch, route, capsys):
    made, _ = route
    monkeypatch.setattr(grid, "eager_variants", lambda _: made)
    monkeypatch.setattr(grid, "onnx_variants", lambda *_: made)
    monkeypatch.setattr(grid.lstm, "PUBLISHED", grid.lstm.LSTMConfig(4, 4, layers=1))
    file = tmp_path / "mine.json"
    options = ["--batches", "1", "2", "--lengths", "5", "--threads", "1", "--repeats", "3"]
    assert grid.main([str(file), *options]) == 0
    assert capsys.readouterr().out == (f"12 cells in {file}: int8 is faster in 12, slower in 0\n")
    provenance, cells = read_grid(file)
    command = "python -m smallport.bench.grid mine.json --batches 1 2 --lengths 5 --threads 1"
    assert provenance.command == f"{command} --repeats 3"
    assert {(cell.route, cell.batch) for cell in cells} == {
        ("eager", 1), ("eager", 2), ("ONNX", 1), ("ONNX", 2)
    }  # fmt: skip
