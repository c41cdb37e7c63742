"""Time several functions in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


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


CLOCK_SHARE, CLOCK_SECONDS = 0.1, 0.005
"""By how much two clocks may differ: a share of the time, or some seconds if that is more."""


def elapsed(name: str, run: Callable[[], object]) -> float:
    """Time a call with two clocks.

    Parameters
    ----------
    name
        The name of the function, for the message.
    run
        The function.

    Returns
    -------
    float
        The seconds that passed.

    Raises
    ------
    RuntimeError
        When the clocks differ, or no time has passed: then the seconds mean nothing.

    Examples
    --------
    >>> elapsed("sum", lambda: sum(range(1000))) > 0
    True
    """
    start, other_start = time.perf_counter(), time.monotonic()
    run()
    seconds, other = time.perf_counter() - start, time.monotonic() - other_start
    if not seconds > 0:
        raise RuntimeError(f"{name} took {seconds:.3g} s: the clock does not run")
    if abs(seconds - other) > max(CLOCK_SECONDS, CLOCK_SHARE * max(seconds, other)):
        raise RuntimeError(
            f"{name} took {seconds:.3g} s by time.perf_counter and {other:.3g} s by "
            "time.monotonic: a clock of this machine is wrong"
        )
    return seconds


def require_same_results(results: Mapping[str, object], within: float) -> None:
    """Require that functions that are timed in turns return the same, apart from rounding.

    Parameters
    ----------
    results
        Their results by name: numbers, or tensors or arrays of the same shape; of a tuple or
        a list, the first is compared.
    within
        The largest difference of one from the first, relative to the first: of the root mean
        squares.

    Raises
    ------
    ValueError
        When one differs more, or has another shape: it does other work, and its time cannot be
        compared.

    Examples
    --------
    >>> require_same_results({"float32": 2.0, "int8": 2.01}, 0.1)
    >>> require_same_results({"float32": 2.0, "int8": 3.0}, 0.1)
    Traceback (most recent call last):
    ...
    ValueError: int8 differs from float32 by 0.5 of its size, and may by 0.1: it does other work, \
so its time cannot be compared
    """
    (first, expected), *others = ((name, _numbers(result)) for name, result in results.items())
    for name, found in others:
        if found.shape != expected.shape:
            raise ValueError(
                f"{name} returns the shape {found.shape}, and {first} {expected.shape}: it does "
                "other work, so its time cannot be compared"
            )
        size = np.sqrt(np.mean(expected**2))
        difference = np.sqrt(np.mean((found - expected) ** 2)) / max(size, 1e-30)
        if not difference <= within:
            raise ValueError(
                f"{name} differs from {first} by {difference:.2g} of its size, and may by "
                f"{within}: it does other work, so its time cannot be compared"
            )


def _numbers(result: Any) -> np.ndarray:
    """Turn a result into numbers in double precision."""
    while isinstance(result, (tuple, list)):
        result = result[0]
    return np.asarray(result.detach() if hasattr(result, "detach") else result, np.float64)


def time_interleaved(
    runs: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 5,
    warmup: int = 1,
    within: float | None = None,
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
    within
        By how much the results of the warm-up may differ; see ``require_same_results``. Left
        out, they are not compared.

    Returns
    -------
    dict of str to Timing
        In the order of ``runs``.

    Raises
    ------
    ValueError
        When there is nothing to repeat, or results differ.
    RuntimeError
        When two clocks differ; see ``elapsed``.

    Examples
    --------
    >>> timings = time_interleaved({"sum": lambda: sum(range(10))}, repeats=3)
    >>> len(timings["sum"].seconds)
    3
    """
    if repeats < 1:
        raise ValueError(f"time_interleaved: repeats must be at least 1, not {repeats}")
    for _ in range(warmup):
        results = {name: run() for name, run in runs.items()}
        if within is not None:
            require_same_results(results, within)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            seconds[name].append(elapsed(name, run))
    return {name: Timing(tuple(values)) for name, values in seconds.items()}
