"""Test that stored cells are read as they were written, and that intervals are compared."""

import itertools
import json
from dataclasses import asdict, replace

import pytest

from smallport import measured
from smallport.bench import cells, grid
from smallport.bench.cells import Cell, Grid, combine, read_grid, stored_grids

CELL = Cell(
    route="eager",
    part="LSTM",
    batch=4,
    length=25,
    threads=1,
    ratio=2.0,
    low=1.75,
    high=2.5,
    float32_seconds=(0.02, 0.03, 0.022),
    int8_seconds=(0.01, 0.012, 0.011),
    cores=1.0,
)


def write(file, rows):
    measured.write(file, {"cells": rows}, command="python -m smallport.bench.grid stored.json")
    return file


@pytest.fixture
def stored(tmp_path):
    return read_grid(write(tmp_path / "stored.json", [asdict(CELL)]))


@pytest.mark.parametrize(
    ("low", "high", "contradicted"),
    [(1.0, 1.7, True), (2.6, 3.0, True), (1.0, 1.75, False), (2.5, 3.0, False), (1.0, 3.0, False)],
)
def test_intervals_that_do_not_overlap_contradict(low, high, contradicted, stored):
    now = replace(CELL, low=low, high=high, ratio=(low + high) / 2)
    assert stored.contradicting([now]) == [now] * contradicted


def test_a_cell_is_compared_with_its_own_place(stored):
    others = [replace(CELL, batch=8, low=9, high=9), replace(CELL, threads=2, low=9, high=9)]
    assert stored.contradicting(others) == []


def test_a_stored_grid_comes_back_as_it_was(stored):
    assert stored.cells == {CELL.place: CELL}
    assert (stored.name, stored.processes, stored.dropped) == ("stored", 3, ())
    assert stored.provenance.differences_from_here() == []
    assert stored.is_of_here


def test_speedups_have_either_baseline_and_gaps(tmp_path):
    onnx = replace(
        CELL,
        route="ONNX",
        float32_seconds=(0.01, 0.006, 0.011),
        ratio=1.0,
        low=0.5,
        high=1.0,
    )
    wide = replace(CELL, batch=8, low=1.0, high=9.0)
    rows = [asdict(cell) for cell in (CELL, onnx, wide, replace(onnx, batch=8))]
    found = read_grid(write(tmp_path / "two.json", rows))
    own, other = (found.speedups("eager", "LSTM", name) for name in ("eager", "ONNX"))
    assert own.loc[4, 25] == 2.0
    assert other.loc[4, 25] == 1.0
    assert list(own.index) == [8, 4]
    assert own.loc[[8]].isna().all(axis=None)


@pytest.mark.parametrize(
    "edit",
    [
        {"ratio": 2.6},
        {"low": 2.1},
        {"float32_seconds": (0.03, 0.02, 0.025)},
        {"int8_seconds": (0.0, 0.01, 0.01)},
    ],
)
def test_a_cell_that_contradicts_itself_is_refused(tmp_path, edit):
    with pytest.raises(ValueError, match="eager LSTM, 4 × 25 words, 1 thread"):
        read_grid(write(tmp_path / "edited.json", [asdict(CELL) | edit]))


def test_a_grid_of_other_instructions_is_not_of_here(stored, monkeypatch):
    monkeypatch.setattr(cells, "int8_dot_products", lambda: ("avx_unheard_of",))
    assert not stored.is_of_here


def test_cells_of_one_process_may_store_single_numbers(tmp_path):
    row = asdict(CELL) | {"float32_seconds": 0.02, "int8_seconds": 0.01}
    (cell,) = read_grid(write(tmp_path / "old.json", [row])).cells.values()
    assert (cell.float32_seconds, cell.int8_seconds, cell.processes) == ((0.02,), (0.01,), 1)


def test_cells_with_wide_intervals_are_dropped(tmp_path):
    exact = replace(CELL, low=1.5, high=3.0)
    wide = replace(CELL, batch=8, low=1.5, high=3.1)
    found = read_grid(write(tmp_path / "wide.json", [asdict(exact), asdict(wide)]))
    assert list(found.cells) == [exact.place]
    assert found.dropped == (wide.place,)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"ratio": 2.0}], "cells that this version cannot read .* Measure it again with 'python"),
        ([asdict(CELL) | {"layer": "LSTM"}], "cells that this version cannot read"),
        ([], "stored twice, or none is"),
        ([asdict(CELL), asdict(CELL)], "stored twice, or none is"),
    ],
)
def test_other_cells_are_rejected(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        read_grid(write(tmp_path / "stored.json", rows))


def test_a_stored_grid_without_provenance_is_rejected(tmp_path):
    file = write(tmp_path / "stored.json", [asdict(CELL)])
    content = json.loads(file.read_text())
    del content["provenance"]["machine"]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="does not hold kept results with their provenance"):
        read_grid(file)


def test_cells_of_several_places_are_not_combined():
    with pytest.raises(ValueError, match="cannot be combined"):
        combine([CELL, replace(CELL, batch=8)])


def test_the_grid_of_this_machine_comes_first(monkeypatch):
    for grid_ in stored_grids():
        instructions = grid_.provenance.machine.int8_dot_products
        monkeypatch.setattr(cells, "int8_dot_products", lambda found=instructions: found)
        assert stored_grids()[0].name == grid_.name


@pytest.mark.parametrize("found", stored_grids(), ids=lambda grid: grid.name)
def test_each_stored_grid_is_complete_but_for_dropped_cells(found: Grid):
    assert found.provenance.command.startswith("python -m smallport.bench.grid ")
    stored = found.cells
    threads = {cell.threads for cell in stored.values()}
    routes = ("eager", "ONNX")
    places = {place for place in (*stored, *found.dropped) if place[0] in routes}
    axes = (routes, grid.PARTS, grid.BATCHES, grid.LENGTHS, threads)
    assert places == set(itertools.product(*axes))
    alone = [place in stored for place in places if place[-1] == 1]
    assert sum(alone) > 0.9 * len(alone), "measure one thread again on idle cores"
    assert len({cell.float32 for cell in stored.values()}) == len(stored), "cells were copied"
    for cell in stored.values():
        assert cell.low <= cell.ratio <= cell.high
        assert cell.cores <= cell.threads + 0.1
    for route, part in itertools.product(routes, grid.PARTS):
        least, most = (
            stored[route, part, batch, length, 1].float32
            for batch, length in ((1, 1), (grid.BATCHES[-1], grid.LENGTHS[-1]))
        )
        assert most > 4 * least, "the time does not depend on the work"


def test_a_stored_grid_of_several_processes_exists():
    assert max(found.processes for found in stored_grids()) >= 3
