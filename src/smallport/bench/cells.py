"""The speed-up of int8 in one setting, measured now or stored, and grids of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from smallport import measured
from smallport.machine import int8_dot_products
from smallport.timing import Ratio, Timing

WIDEST = 2
"""The largest quotient of the ends of an interval. Cells with a wider one are dropped."""

Place = tuple[str, str, int, int, int]
"""Route, part, batch size, length and threads of a cell."""


@dataclass(frozen=True)
class Cell:
    """The speed-up of int8 in one setting.

    Parameters
    ----------
    route
        The runtime of the model: ``eager``, ``ONNX``, or ``eager, memory kept``.
    part
        The whole ``model``, its ``LSTM`` or its ``decoder``.
    batch
        How many texts are read side by side.
    length
        How many words of each text are read in one call.
    threads
        How many threads may be used.
    ratio
        The time in floats divided by the time in int8. Each turn gives a ratio; this is the median
        of the medians of all processes.
    low, high
        The lowest and the highest ratio of all turns of all processes.
    float32_seconds, int8_seconds
        The time of one call: the median over the turns, for each process.
    cores
        How many cores were busy on average, in both precisions and all processes.

    Examples
    --------
    >>> cell = Cell("eager", "LSTM", 8, 25, 1, 2.0, 1.5, 2.5, (0.03, 0.02), (0.01, 0.015), 1.0)
    >>> print(cell)
    eager LSTM, 8 × 25 words, 1 thread
    >>> cell.processes
    2
    """

    route: str
    part: str
    batch: int
    length: int
    threads: int
    ratio: float
    low: float
    high: float
    float32_seconds: tuple[float, ...]
    int8_seconds: tuple[float, ...]
    cores: float

    @property
    def place(self) -> Place:
        """The key that tells it from the other cells of a grid."""
        return self.route, self.part, self.batch, self.length, self.threads

    @property
    def processes(self) -> int:
        """Count the processes that measured it."""
        return len(self.int8_seconds)

    @property
    def float32(self) -> float:
        """Seconds of a call in floats: the median over the processes."""
        return statistics.median(self.float32_seconds)

    @property
    def int8(self) -> float:
        """Seconds of a call in int8: the median over the processes."""
        return statistics.median(self.int8_seconds)

    @property
    def is_possible(self) -> bool:
        """Whether ratio and seconds lie in the interval, as those of one measurement do."""
        ratios = [
            slow / fast if fast > 0 else float("nan")
            for slow, fast in zip(self.float32_seconds, self.int8_seconds, strict=True)
        ]
        return all(0 < self.low <= ratio <= self.high for ratio in (*ratios, self.ratio))

    def against(self, baseline: Cell) -> Ratio:
        """Divide the time of another cell in floats by the time of this one in int8.

        Parameters
        ----------
        baseline
            The same setting of another route, measured by the same processes.

        Returns
        -------
        Ratio
            Median, lowest and highest of the ratios of all processes.

        Examples
        --------
        >>> cell = Cell("eager", "LSTM", 8, 25, 1, 3.0, 2.9, 3.1, (0.6,), (0.2,), 1.0)
        >>> other = Cell("ONNX", "LSTM", 8, 25, 1, 2.0, 1.9, 2.1, (0.3,), (0.15,), 1.0)
        >>> print(cell.against(other))
        1.50 (1.50 to 1.50)
        """
        return Ratio.of(Timing(baseline.float32_seconds), Timing(self.int8_seconds))

    def __str__(self) -> str:
        threads = "thread" if self.threads == 1 else "threads"
        return (
            f"{self.route} {self.part}, {self.batch} × {self.length} words, "
            f"{self.threads} {threads}"
        )


def combine(cells: Iterable[Cell]) -> Cell:
    """Combine the same cell of several processes.

    Parameters
    ----------
    cells
        One cell for each process.

    Examples
    --------
    >>> one = Cell("eager", "LSTM", 8, 25, 1, 2.0, 1.5, 2.5, (0.02,), (0.01,), 1.0)
    >>> two = Cell("eager", "LSTM", 8, 25, 1, 3.0, 2.0, 3.5, (0.03,), (0.01,), 1.0)
    >>> both = combine([one, two])
    >>> both.ratio, both.low, both.high, both.int8_seconds
    (2.5, 1.5, 3.5, (0.01, 0.01))
    """
    first, *others = same = list(cells)
    if any(cell.place != first.place for cell in others):
        raise ValueError(f"cells of several places cannot be combined: {first} and others")
    return Cell(
        *first.place,
        ratio=statistics.median(cell.ratio for cell in same),
        low=min(cell.low for cell in same),
        high=max(cell.high for cell in same),
        float32_seconds=tuple(second for cell in same for second in cell.float32_seconds),
        int8_seconds=tuple(second for cell in same for second in cell.int8_seconds),
        cores=statistics.fmean(cell.cores for cell in same),
    )


@dataclass(frozen=True)
class Grid:
    """A stored grid.

    Parameters
    ----------
    name
        The name of its file, without ``.json``.
    provenance
        When, where and with which versions it was measured.
    cells
        Its cells by their places, those with too wide an interval left out.
    dropped
        The places of the cells that were left out.
    """

    name: str
    provenance: measured.Provenance
    cells: Mapping[Place, Cell]
    dropped: tuple[Place, ...]

    @property
    def processes(self) -> int:
        """Count the processes that measured each cell."""
        return min(cell.processes for cell in self.cells.values())

    @property
    def is_of_here(self) -> bool:
        """Whether its machine has the int8 dot products of this one."""
        return self.provenance.machine.int8_dot_products == int8_dot_products()

    def speedups(self, route: str, part: str, baseline: str, *, threads: int = 1) -> pd.DataFrame:
        """Make a table of the speed-ups of int8, by batch size and length.

        Parameters
        ----------
        route
            The runtime of the model in int8.
        part
            The model, its LSTM or its decoder.
        baseline
            The runtime of the model in float32.
        threads
            How many threads may be used.

        Returns
        -------
        pandas.DataFrame
            A row for each batch size, the largest first, and a column for each length. NaN where a
            cell was dropped.

        Examples
        --------
        >>> stored_grids()[0].speedups("eager", "LSTM", "ONNX").shape
        (5, 4)
        """
        table: dict[int, dict[int, float]] = {}
        for _, _, batch, length, _ in self.cells:
            cell = self.cells.get((route, part, batch, length, threads))
            other = self.cells.get((baseline, part, batch, length, threads))
            ratio = float("nan")
            if cell and other:
                ratio = cell.ratio if route == baseline else cell.against(other).median
            table.setdefault(length, {})[batch] = ratio
        return pd.DataFrame(table).sort_index(ascending=False).sort_index(axis=1)

    def contradicting(self, now: Iterable[Cell]) -> list[Cell]:
        """Find cells whose interval does not overlap the stored one.

        Parameters
        ----------
        now
            Cells that were measured now. Those that the grid lacks are passed over.

        Returns
        -------
        list of Cell
            Those of ``now`` that contradict the grid.
        """
        return [
            cell
            for cell in now
            if (stored := self.cells.get(cell.place))
            and (cell.low > stored.high or cell.high < stored.low)
        ]


def read_grid(name: Path | str) -> Grid:
    """Read a stored grid.

    Parameters
    ----------
    name
        As :func:`smallport.measured.read` takes it: the name of a grid that comes with this
        package, or the path of your own file.

    Raises
    ------
    ValueError
        When the file does not say where its results come from, or its cells are not those that
        this version of the package measures.
    """
    stored = measured.read(name)
    name = name.stem if isinstance(name, Path) else name
    again = f"Measure it again with {stored.provenance.command!r}."
    try:
        cells = [_from_row(row) for row in stored.results["cells"]]
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"{name}: smallport {stored.provenance.smallport} stored cells that this version "
            f"cannot read ({error}). {again}"
        ) from error
    if impossible := [str(cell) for cell in cells if not cell.is_possible]:
        raise ValueError(
            f"{name}: the ratios do not follow from the seconds, or not from the interval, in "
            f"{'; '.join(impossible)}. {again}"
        )
    by_place = {cell.place: cell for cell in cells if cell.high <= WIDEST * cell.low}
    if not by_place or len({cell.place for cell in cells}) < len(cells):
        raise ValueError(f"{name}: a cell is stored twice, or none is. {again}")
    dropped = tuple(cell.place for cell in cells if cell.place not in by_place)
    return Grid(name, stored.provenance, by_place, dropped)


def _from_row(row: Mapping[str, Any]) -> Cell:
    """Read a cell. A grid of one process may store seconds as single numbers."""
    seconds = {
        kind: tuple(row[kind]) if isinstance(row[kind], list) else (row[kind],)
        for kind in ("float32_seconds", "int8_seconds")
    }
    return Cell(**{**row, **seconds})


def stored_grids() -> list[Grid]:
    """Read all grids that come with this package, those of this machine's instructions first.

    Examples
    --------
    >>> for grid in stored_grids():
    ...     assert grid.cells
    """
    names = sorted(file.stem for file in measured.FOLDER.glob("grid-*.json"))
    return sorted(map(read_grid, names), key=lambda grid: not grid.is_of_here)
