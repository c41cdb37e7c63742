"""The speed-up of int8 in one setting, as measured now and as stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from smallport import measured


@dataclass(frozen=True)
class Cell:
    """The speed-up of int8 in one setting.

    Parameters
    ----------
    route
        By what the model is run, ``eager`` or ``ONNX``.
    part
        The part that runs: the whole ``model``, its ``LSTM`` or its ``decoder``.
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
        true median lies between them with a probability of 98% [1]_.
    float32_seconds, int8_seconds
        The time of a call: the median over the turns.
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
        """The key that tells it from the other cells of a grid."""
        return self.route, self.part, self.batch, self.length, self.threads

    def __str__(self) -> str:
        threads = "thread" if self.threads == 1 else "threads"
        return (
            f"{self.route} {self.part}, {self.batch} × {self.length} words, "
            f"{self.threads} {threads}"
        )


@dataclass(frozen=True)
class Contradiction:
    """A cell whose interval does not overlap with that of the stored one.

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
