"""Measure models and machines: sizes, times, and what they were measured on."""

from __future__ import annotations

import io
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

INT8_DOT_PRODUCTS = ("avx512_vnni", "avx_vnni", "amx_int8", "dot", "i8mm")
"""Capabilities, as PyTorch names them, by which a processor multiplies and adds int8 at once."""


def state_dict_megabytes(model: nn.Module) -> float:
    """Measure how large a model is when its state dict is saved.

    The state dict is saved to memory, which takes the same bytes as a file but for the name of the
    archive inside it.

    Parameters
    ----------
    model
        Any module, quantized or not.

    Returns
    -------
    float
        Size in MB of a million bytes, as the published tutorial counts them.

    Examples
    --------
    >>> round(state_dict_megabytes(nn.Linear(1000, 1000)))
    4
    """
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell() / 1e6


@dataclass(frozen=True)
class Timing:
    """How long something took, over several repeats.

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
    """How much faster one thing is than another that took turns with it.

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
    """Time several things against each other.

    They take turns, first to last and again, so that a machine which slows down or speeds up does
    so for all of them.

    Parameters
    ----------
    runs
        What to run, under the name to report it by.
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


@dataclass(frozen=True)
class Machine:
    """What a measurement was made on.

    Parameters
    ----------
    processor
        Model name of the processor.
    int8_dot_products
        Those of ``INT8_DOT_PRODUCTS`` that it has, by PyTorch's names.
    cores
        How many cores this process may use.
    threads
        How many threads PyTorch uses.
    """

    processor: str
    int8_dot_products: tuple[str, ...]
    cores: int
    threads: int

    def __str__(self) -> str:
        dot_products = ", ".join(self.int8_dot_products) or "none"
        return (
            f"{self.processor}, {_counted(self.cores, 'core')}, "
            f"{_counted(self.threads, 'thread')}, "
            f"int8 dot products: {dot_products}"
        )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def this_machine() -> Machine:
    """Describe the machine that this process runs on."""
    return Machine(processor_name(), int8_dot_products(), usable_cores(), torch.get_num_threads())


def int8_dot_products() -> tuple[str, ...]:
    """Name the int8 dot-product instructions of this processor; empty where it has none."""
    capabilities = torch.cpu.get_capabilities()
    return tuple(name for name in INT8_DOT_PRODUCTS if capabilities.get(name))


def processor_name() -> str:
    """Name the processor's model, or at least its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
