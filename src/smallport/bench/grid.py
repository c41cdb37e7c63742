"""Time a model in float32 and in int8, over batch sizes, lengths and threads.

The whole grid takes some minutes: ``python -m smallport.bench.grid grid.json``.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

import torch

from smallport import lstm, measured
from smallport.bench.cells import Cell
from smallport.bench.parts import PARTS, Call, Setting, Variants, eager_variants, onnx_variants
from smallport.display import progress_bar
from smallport.machine import usable_cores
from smallport.timing import Ratio, Timing, time_interleaved

BATCHES = (1, 2, 4, 8, 16)
LENGTHS = (1, 5, 25, 50)
REPEATS = 7
TURN_SECONDS = 0.02


def measure_cell(
    name: str,
    setting: Setting,
    route: Variants,
    *,
    repeats: int = REPEATS,
    turn_seconds: float = TURN_SECONDS,
) -> Cell:
    """Time one part of a model in floats and in int8, taking turns.

    Parameters
    ----------
    name
        The name of the route.
    setting
        The part and the sizes to run.
    route
        The model, both ways.
    repeats
        How many turns each has.
    turn_seconds
        How long a turn takes at least: a call that is shorter is repeated.
    """
    calls = {"float32": route.float32(setting), "int8": route.int8(setting)}
    counts = {kind: _calls_in(turn_seconds, call) for kind, call in calls.items()}
    passed, used = time.perf_counter(), time.process_time()
    timings = time_interleaved(
        {kind: _repeated(call, counts[kind]) for kind, call in calls.items()},
        repeats=repeats,
        warmup=0,  # counting the calls was one
    )
    passed, used = time.perf_counter() - passed, time.process_time() - used
    a_call = {
        kind: Timing(tuple(turn / counts[kind] for turn in timing.seconds))
        for kind, timing in timings.items()
    }
    ratio = Ratio.of(a_call["float32"], a_call["int8"])
    return Cell(
        route=name,
        part=setting.part,
        batch=setting.batch,
        length=setting.length,
        threads=setting.threads,
        ratio=ratio.median,
        low=ratio.low,
        high=ratio.high,
        float32_seconds=a_call["float32"].median,
        int8_seconds=a_call["int8"].median,
        cores=used / passed,
    )


def _calls_in(seconds: float, call: Call) -> int:
    """Count the calls that fill a turn, after one that does not count."""
    call()
    start = time.perf_counter()
    call()
    return max(1, math.ceil(seconds / (time.perf_counter() - start)))


def _repeated(call: Call, count: int) -> Call:
    def turn() -> None:
        for _ in range(count):
            call()

    return turn


def measure_grid(
    routes: Mapping[str, Variants],
    *,
    parts: Iterable[str] = PARTS,
    batches: Iterable[int] = BATCHES,
    lengths: Iterable[int] = LENGTHS,
    threads: Iterable[int] = (1,),
    repeats: int = REPEATS,
    turn_seconds: float = TURN_SECONDS,
) -> list[Cell]:
    """Time every combination of routes, parts, batches, lengths and threads.

    Parameters
    ----------
    routes
        Models, by the names of their routes.
    parts, batches, lengths, threads
        The values to combine. PyTorch's number of threads is put back afterwards.
    repeats, turn_seconds
        As :func:`measure_cell` takes them.
    """
    combinations = list(product(threads, routes, parts, batches, lengths))
    before = torch.get_num_threads()
    try:
        return [
            measure_cell(
                route,
                Setting(part, batch, length, count),
                routes[route],
                repeats=repeats,
                turn_seconds=turn_seconds,
            )
            for count, route, part, batch, length in progress_bar(
                combinations, "measuring", unit="cell"
            )
        ]
    finally:
        torch.set_num_threads(before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the whole grid, and write it to a file."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m smallport.bench.grid", description=__doc__)
    parser.add_argument("file", type=Path, help="the JSON file to write")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, metavar="N")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, metavar="N")
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        default=sorted({1, usable_cores()}),
        metavar="N",
        help="by default 1, and as many as there are cores",
    )
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="N")
    chosen = parser.parse_args(arguments)
    torch.manual_seed(0)
    model = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()
    with tempfile.TemporaryDirectory() as folder:
        routes = {"eager": eager_variants(model), "ONNX": onnx_variants(Path(folder), model)}
        cells = measure_grid(
            routes,
            batches=chosen.batches,
            lengths=chosen.lengths,
            threads=chosen.threads,
            repeats=chosen.repeats,
        )
    typed = [chosen.file.name if word == str(chosen.file) else word for word in arguments]
    command = shlex.join(["python", "-m", "smallport.bench.grid", *typed])
    measured.write(chosen.file, {"cells": [asdict(cell) for cell in cells]}, command=command)
    faster = sum(cell.low > 1 for cell in cells)
    slower = sum(cell.high < 1 for cell in cells)
    print(  # noqa: T201 - it is what a command says
        f"{len(cells)} cells in {chosen.file}: int8 is faster in {faster}, slower in {slower}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
