"""Time several functions in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """The seconds that something took, over several repeats.

    Parameters
    ----------
    seconds
        Of each repeat, in the order in which they ran.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one, which a single disturbed repeat does not move."""
        return statistics.median(self.seconds)

    @property
    def fastest(self) -> float:
        """The shortest repeat."""
        return min(self.seconds)

    @property
    def slowest(self) -> float:
        """The longest repeat."""
        return max(self.seconds)

    def __str__(self) -> str:
        return f"{self.median:.3g} s ({self.fastest:.3g} to {self.slowest:.3g})"


@dataclass(frozen=True)
class Ratio:
    """The ratio of two times that were measured in turns.

    Parameters
    ----------
    median
        Of the ratios of all turns.
    low, high
        The least and the greatest of them.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, slow: Timing, fast: Timing) -> Ratio:
        """Divide the seconds of each turn.

        Examples
        --------
        >>> Ratio.of(Timing((2.0, 4.0, 3.0)), Timing((1.0, 1.0, 2.0)))
        Ratio(median=2.0, low=1.5, high=4.0)
        """
        ratios = [a / b for a, b in zip(slow.seconds, fast.seconds, strict=True)]
        return cls(statistics.median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def time_interleaved(
    runs: Mapping[str, Callable[[], object]], *, repeats: int = 5, warmup: int = 1
) -> dict[str, Timing]:
    """Time several functions in turns.

    They take turns, first to last and again, so that a machine which slows down or speeds up does
    so for all of them.

    Parameters
    ----------
    runs
        The functions to time, under the names to report them by.
    repeats
        How often each is timed.
    warmup
        How often each runs beforehand without being timed, to fill caches and make allocations.

    Returns
    -------
    dict of str to Timing
        In the order of ``runs``.

    Raises
    ------
    ValueError
        When there is nothing to repeat.

    Examples
    --------
    >>> timings = time_interleaved({"sum": lambda: sum(range(10))}, repeats=3)
    >>> len(timings["sum"].seconds)
    3
    """
    if repeats < 1:
        raise ValueError(f"time_interleaved: repeats must be at least 1, not {repeats}")
    for _ in range(warmup):
        for run in runs.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}
