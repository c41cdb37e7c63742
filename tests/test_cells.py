"""Kept cells come back as they were, or not at all; intervals contradict each other or meet."""

import itertools
import json
from dataclasses import asdict, replace

import pytest

from smallport import measured
from smallport.bench import grid
from smallport.bench.cells import Cell, Contradiction, contradictions, read_grid

CELL = Cell(
    route="eager",
    part="LSTM",
    batch=4,
    length=25,
    threads=1,
    ratio=2.0,
    low=1.75,
    high=2.5,
    float32_seconds=0.02,
    int8_seconds=0.01,
    cores=1.0,
)


@pytest.mark.parametrize(
    ("low", "high", "contradicted"),
    [(1.0, 1.7, True), (2.6, 3.0, True), (1.0, 1.75, False), (2.5, 3.0, False), (1.0, 3.0, False)],
)
def test_intervals_that_do_not_meet_contradict_each_other(low, high, contradicted):
    now = replace(CELL, low=low, high=high, ratio=(low + high) / 2)
    assert contradictions([now], [CELL]) == [Contradiction(now, CELL)] * contradicted


def test_a_contradiction_gives_both_sides():
    now = replace(CELL, ratio=0.5, low=0.25, high=0.75)
    assert str(Contradiction(now, CELL)) == (
        "eager LSTM, 4 × 25 words, 1 thread: 0.50 times as fast as float32 (0.25 to 0.75), kept "
        "2.00 (1.75 to 2.50)"
    )


def test_a_cell_is_compared_with_its_own_kind():
    others = [replace(CELL, batch=8, low=9, high=9), replace(CELL, threads=2, low=9, high=9)]
    assert contradictions([CELL], [*others, CELL]) == []
    with pytest.raises(ValueError, match="eager LSTM, 4 × 25 words, 1 thread is not among the 2"):
        contradictions([CELL], others)


def write(file, rows):
    measured.write(file, {"cells": rows}, command="python -m smallport.bench.grid kept.json")
    return file


def test_a_kept_grid_comes_back_as_it_was(tmp_path):
    provenance, cells = read_grid(write(tmp_path / "kept.json", [asdict(CELL)]))
    assert cells == [CELL]
    assert provenance.differences_from_here() == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"ratio": 2.0}], "has other cells than this version .* measure it again with 'python"),
        ([asdict(CELL) | {"layer": "LSTM"}], "has other cells than this version"),
        ([], "cells twice, or none"),
        ([asdict(CELL), asdict(CELL)], "cells twice, or none"),
    ],
)
def test_a_kept_grid_of_another_kind_is_refused(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        read_grid(write(tmp_path / "kept.json", rows))


def test_a_kept_grid_without_provenance_is_refused(tmp_path):
    file = write(tmp_path / "kept.json", [asdict(CELL)])
    kept = json.loads(file.read_text())
    del kept["provenance"]["machine"]
    file.write_text(json.dumps(kept))
    with pytest.raises(ValueError, match="does not hold kept results with their provenance"):
        read_grid(file)


def test_the_grid_that_comes_with_the_package_is_whole():
    provenance, cells = read_grid()
    assert provenance.command == "python -m smallport.bench.grid grid.json"
    by_place = {cell.place: cell for cell in cells}
    threads = {cell.threads for cell in cells}
    assert {1} < threads
    routes = ("eager", "ONNX")
    axes = (routes, grid.PARTS, grid.BATCHES, grid.LENGTHS, threads)
    assert by_place.keys() == set(itertools.product(*axes))
    assert len({cell.float32_seconds for cell in cells}) == len(cells), "cells were copied"
    for cell in cells:
        assert cell.low <= cell.ratio <= cell.high
        assert cell.cores <= cell.threads + 0.1
    for route, part, count in itertools.product(routes, grid.PARTS, threads):
        least, most = (
            by_place[route, part, batch, length, count].float32_seconds
            for batch, length in ((1, 1), (grid.BATCHES[-1], grid.LENGTHS[-1]))
        )
        assert most > 4 * least, "the time does not depend on the work"
    assert max(cell.cores for cell in cells if cell.threads > 1) > 1.5, "one thread for several"
