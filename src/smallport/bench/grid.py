"""Measure how much faster int8 is than floats, over batch sizes, lengths and threads.

``python -m smallport.bench.grid FILE`` measures the whole grid in several processes, which takes
some minutes each, and writes it to a file. Interrupted, it resumes at the process where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby, product
from pathlib import Path
from typing import Any

import torch

from smallport import lstm, measured
from smallport.bench.cells import Cell, combine
from smallport.bench.memory import allocator_environment, keeps_memory, uses_glibc
from smallport.bench.parts import PARTS, Call, Setting, Variants, eager_variants, onnx_variants
from smallport.display import progress_bar
from smallport.machine import usable_cores
from smallport.timing import Ratio, Timing, elapsed, require_same_results, time_interleaved

ROUTES = ("eager", "ONNX")
MEMORY_KEPT = "eager, memory kept"
"""The route of eager PyTorch in a process whose C library keeps large blocks of memory."""

BATCHES = (1, 2, 4, 8, 16)
LENGTHS = (1, 5, 25, 50)
REPEATS = 5
PROCESSES = 3
TURN_SECONDS = 0.02
FLOAT32_WITHIN, INT8_WITHIN = 1e-3, 0.05
"""By how much routes may differ in float32, and int8 from float32: 4e-7 and 0.014 were measured."""


def measure_cell(
    name: str,
    setting: Setting,
    route: Variants,
    *,
    repeats: int = REPEATS,
    turn_seconds: float = TURN_SECONDS,
) -> Cell:
    """Time one part of a model in floats and in int8, in turns.

    Parameters
    ----------
    name
        The name of the route.
    setting
        Part, sizes and threads.
    route
        The model in both precisions.
    repeats
        The number of turns.
    turn_seconds
        The least duration of a turn: shorter calls are repeated.

    Raises
    ------
    ValueError
        When the two compute different results.
    RuntimeError
        When two clocks differ.

    Examples
    --------
    >>> slow_and_fast = Variants(
    ...     lambda setting: lambda: max([1.0] * 100_000), lambda setting: lambda: max([1.0] * 1_000)
    ... )
    >>> setting = Setting("LSTM", batch=1, length=1, threads=1)
    >>> measure_cell("sums", setting, slow_and_fast, turn_seconds=0).ratio > 1
    True
    """
    calls = {"float32": route.float32(setting), "int8": route.int8(setting)}
    counted = {kind: _calls_in(turn_seconds, call) for kind, call in calls.items()}
    results = {f"{name} {kind}, {setting.part}": result for kind, (_, result) in counted.items()}
    require_same_results(results, INT8_WITHIN)
    counts = {kind: count for kind, (count, _) in counted.items()}
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
        float32_seconds=(a_call["float32"].median,),
        int8_seconds=(a_call["int8"].median,),
        cores=used / passed,
    )


def _calls_in(seconds: float, call: Call) -> tuple[int, object]:
    """Count the calls that fill a turn, after one that does not count; return its result, too."""
    result = call()
    return max(1, math.ceil(seconds / elapsed("a call", call))), result


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
    """Time every combination of routes, parts, batches, lengths and threads, in this process.

    Parameters
    ----------
    routes
        Models, by the names of their routes.
    parts, batches, lengths, threads
        The values to combine. PyTorch's number of threads is restored afterwards.
    repeats, turn_seconds
        Passed to :func:`measure_cell`.

    Raises
    ------
    ValueError
        When two routes compute different results in float32, or one does in int8.
    RuntimeError
        When two clocks differ.

    Examples
    --------
    >>> slow_and_fast = Variants(
    ...     lambda setting: lambda: max([1.0] * 100_000), lambda setting: lambda: max([1.0] * 1_000)
    ... )
    >>> sizes = {"parts": ["LSTM"], "batches": [1, 2], "lengths": [1], "turn_seconds": 0}
    >>> for cell in measure_grid({"sums": slow_and_fast}, **sizes):
    ...     print(cell)
    sums LSTM, 1 × 1 words, 1 thread
    sums LSTM, 2 × 1 words, 1 thread
    """
    parts, batches, lengths = tuple(parts), tuple(batches), tuple(lengths)
    combinations = list(product(threads, routes, parts, batches, lengths))
    before = torch.get_num_threads()
    try:
        for sizes in product(parts, batches, lengths):
            setting = Setting(*sizes, threads=1)
            results = {
                f"{name} float32, {setting.part}": route.float32(setting)()
                for name, route in routes.items()
            }
            require_same_results(results, FLOAT32_WITHIN)
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


@dataclass(frozen=True)
class Job:
    """The cells that one process measures.

    Parameters
    ----------
    process
        Its number, from 1.
    routes, parts, batches, lengths
        The values to combine.
    threads
        How many threads may be used.
    repeats
        The number of turns.
    """

    process: int
    routes: tuple[str, ...]
    parts: tuple[str, ...]
    batches: tuple[int, ...]
    lengths: tuple[int, ...]
    threads: int
    repeats: int

    @property
    def name(self) -> str:
        """A name for its file."""
        kept = "-memory-kept" if MEMORY_KEPT in self.routes else ""
        return f"process-{self.process}-threads-{self.threads}{kept}"


def plan_jobs(options: argparse.Namespace) -> list[Job]:
    """List the jobs of a grid: each process measures all cells of one number of threads."""
    jobs = []
    for process in range(1, options.processes + 1):
        for threads in options.threads:
            job = Job(
                process,
                ROUTES,
                PARTS,
                tuple(options.batches),
                tuple(options.lengths),
                threads,
                options.repeats,
            )
            jobs.append(job)
            if threads == 1 and uses_glibc():
                jobs.append(replace(job, routes=(MEMORY_KEPT,), parts=("decoder",)))
    return jobs


def run_job(job: Job, file: Path) -> None:
    """Measure the cells of a job in this process, and write them to a file."""
    torch.manual_seed(0)
    model = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()
    with tempfile.TemporaryDirectory() as folder:
        routes = {
            route: onnx_variants(Path(folder), model) if route == "ONNX" else eager_variants(model)
            for route in job.routes
        }
        if (MEMORY_KEPT in routes) != keeps_memory():
            raise ValueError(f"{', '.join(routes)}: the allocator is not set as the name says")
        cells = measure_grid(
            routes,
            parts=job.parts,
            batches=job.batches,
            lengths=job.lengths,
            threads=(job.threads,),
            repeats=job.repeats,
        )
    results = {"job": asdict(job), "cells": [asdict(cell) for cell in cells]}
    measured.write(file, results, command=f"job {job.name}")


def start_job(job: Job, file: Path) -> None:
    """Run a job in a separate process."""
    command = [sys.executable, "-m", "smallport.bench.grid", str(file), "--job"]
    subprocess.run(  # noqa: S603 - this module itself
        [*command, json.dumps(asdict(job))],
        check=True,
        env=allocator_environment(keep=MEMORY_KEPT in job.routes),
    )


def measured_cells(job: Job, file: Path) -> list[Cell] | None:
    """Read the cells of a job, if it was run on this processor with these versions."""
    if not file.exists():
        return None
    stored = measured.read(file)
    same = (
        stored.results["job"] == json.loads(json.dumps(asdict(job)))
        and not stored.provenance.differences_from_here()
    )
    return [Cell(**_with_tuples(row)) for row in stored.results["cells"]] if same else None


def _with_tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the lists of a row that JSON stored back into tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the whole grid, and write it to a file."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m smallport.bench.grid", description=__doc__)
    parser.add_argument("file", type=Path, help="the JSON file to write")
    parser.add_argument(
        "--processes",
        type=int,
        default=PROCESSES,
        metavar="N",
        help=f"how many processes measure each cell, one after the other; {PROCESSES} by default",
    )
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
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.job:
        run_job(Job(**_with_tuples(options.job)), options.file)
        return 0
    parts = options.file.with_suffix(".parts")
    parts.mkdir(parents=True, exist_ok=True)
    cells: list[Cell] = []
    for job in plan_jobs(options):
        part = parts / f"{job.name}.json"
        if measured_cells(job, part) is None:
            start_job(job, part)
        cells += measured_cells(job, part) or []
    cells.sort(key=lambda cell: cell.place)
    combined = [combine(same) for _, same in groupby(cells, key=lambda cell: cell.place)]
    typed = [options.file.name if word == str(options.file) else word for word in arguments]
    command = shlex.join(["python", "-m", "smallport.bench.grid", *typed])
    measured.write(options.file, {"cells": [asdict(cell) for cell in combined]}, command=command)
    shutil.rmtree(parts)
    faster = sum(cell.low > 1 for cell in combined)
    slower = sum(cell.high < 1 for cell in combined)
    print(  # noqa: T201 - the output of a command
        f"{len(combined)} cells in {options.file}: int8 is faster in {faster}, slower in {slower}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
