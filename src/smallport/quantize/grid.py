"""When is int8 faster? Time a model in floats and in int8, over batches, lengths and threads.

The whole grid takes some minutes: ``python -m smallport.quantize.grid grid.json``.
"""

from __future__ import annotations

import argparse
import math
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch

from smallport import lstm, measured
from smallport.display import progress_bar
from smallport.measure import time_interleaved, usable_cores
from smallport.quantize.parts import PARTS, Call, Setting, Variants, eager_route, onnx_route_in

BATCHES = (1, 2, 4, 8, 16)
LENGTHS = (1, 5, 25, 50)
REPEATS = 7
TURN_SECONDS = 0.02


@dataclass(frozen=True)
class Cell:
    """How much faster int8 is in one setting.

    Parameters
    ----------
    route
        By what the model is run, ``eager`` or ``ONNX``.
    part
        What of it: the whole ``model``, its ``LSTM`` or its ``decoder``.
    batch
        How many texts are read side by side.
    length
        How many words of each are read in one call.
    threads
        How many threads may work on it.
    ratio
        The time in floats divided by that in int8: the median over the turns.
    low, high
        The least and the greatest ratio of a turn. With seven turns that are like each other, the
        true median lies between them with a probability of 98 % [1]_.
    float32_seconds, int8_seconds
        What a call takes: the median over the turns.
    cores
        How many cores were at work on average, in both.

    References
    ----------
    .. [1] The sign test's interval: all of n independent turns lie on one side of the median with
       a probability of 2 ** (1 - n).
    """

    route: str
    part: str
    batch: int
    length: int
    threads: int
    ratio: float
    low: float
    high: float
    float32_seconds: float
    int8_seconds: float
    cores: float

    @property
    def place(self) -> tuple[str, str, int, int, int]:
        """What tells it from the other cells of a grid."""
        return self.route, self.part, self.batch, self.length, self.threads

    def __str__(self) -> str:
        threads = "thread" if self.threads == 1 else "threads"
        return (
            f"{self.route} {self.part}, {self.batch} × {self.length} words, "
            f"{self.threads} {threads}"
        )


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
        What the route is called.
    setting
        What to run.
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
    seconds = {
        kind: [turn / counts[kind] for turn in timing.seconds] for kind, timing in timings.items()
    }
    ratios = [
        in_floats / in_int8
        for in_floats, in_int8 in zip(seconds["float32"], seconds["int8"], strict=True)
    ]
    return Cell(
        route=name,
        part=setting.part,
        batch=setting.batch,
        length=setting.length,
        threads=setting.threads,
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        float32_seconds=statistics.median(seconds["float32"]),
        int8_seconds=statistics.median(seconds["int8"]),
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
        What to combine. PyTorch's number of threads is put back afterwards.
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


@dataclass(frozen=True)
class Contradiction:
    """A cell whose interval and that of the kept one have nothing in common.

    Parameters
    ----------
    now
        As it was measured now.
    kept
        As it was kept.
    """

    now: Cell
    kept: Cell

    def __str__(self) -> str:
        return (
            f"{self.now}: {self.now.ratio:.2f} times as fast as float32 "
            f"({self.now.low:.2f} to {self.now.high:.2f}), kept {self.kept.ratio:.2f} "
            f"({self.kept.low:.2f} to {self.kept.high:.2f})"
        )


def contradictions(now: Iterable[Cell], kept: Iterable[Cell]) -> list[Contradiction]:
    """Find cells that are faster or slower now than they were, by more than their intervals.

    Parameters
    ----------
    now
        Cells that were measured now.
    kept
        Cells that were kept, these among them.

    Raises
    ------
    ValueError
        When a cell was not kept.
    """
    by_place = {cell.place: cell for cell in kept}
    found = []
    for cell in now:
        if cell.place not in by_place:
            raise ValueError(
                f"{cell} is not among the {len(by_place)} kept cells: measure the whole grid "
                "again, or compare cells that it has"
            )
        before = by_place[cell.place]
        if cell.low > before.high or cell.high < before.low:
            found.append(Contradiction(cell, before))
    return found


def read_grid(name: Path | str = "grid") -> tuple[measured.Provenance, list[Cell]]:
    """Read a kept grid.

    Parameters
    ----------
    name
        As :func:`smallport.measured.read` takes it: left out, the grid that comes with this
        package; the path of a file for a grid of your own.

    Returns
    -------
    provenance : smallport.measured.Provenance
        Where the grid comes from.
    cells : list of Cell
        Its cells.

    Raises
    ------
    ValueError
        When the file does not say where its results come from, or they are no cells such as this
        version of the package measures.
    """
    kept = measured.read(name)
    try:
        cells = [Cell(**row) for row in kept.results["cells"]]
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"the kept grid {name}, measured by smallport {kept.provenance.smallport}, has other "
            f"cells than this version ({error}): measure it again with "
            f"{kept.provenance.command!r}"
        ) from error
    if len({cell.place for cell in cells}) < len(cells) or not cells:
        raise ValueError(f"the kept grid {name} has cells twice, or none: measure it again")
    return kept.provenance, cells


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the whole grid, and write it to a file."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m smallport.quantize.grid", description=__doc__)
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
        routes = {"eager": eager_route(model), "ONNX": onnx_route_in(Path(folder), model)}
        cells = measure_grid(
            routes,
            batches=chosen.batches,
            lengths=chosen.lengths,
            threads=chosen.threads,
            repeats=chosen.repeats,
        )
    typed = [chosen.file.name if word == str(chosen.file) else word for word in arguments]
    command = shlex.join(["python", "-m", "smallport.quantize.grid", *typed])
    measured.write(chosen.file, {"cells": [asdict(cell) for cell in cells]}, command=command)
    faster = sum(cell.low > 1 for cell in cells)
    slower = sum(cell.high < 1 for cell in cells)
    print(  # noqa: T201 - it is what a command says
        f"{len(cells)} cells in {chosen.file}: int8 is faster in {faster}, slower in {slower}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
