"""Describe the machine that something was measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from smallport.quantities import counted

INT8_DOT_PRODUCTS = ("avx512_vnni", "avx_vnni", "amx_int8", "dot", "i8mm")
"""Capabilities, as PyTorch names them, by which a processor multiplies and adds int8 at once."""


@dataclass(frozen=True)
class Machine:
    """The machine that a measurement was made on.

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
            f"{self.processor}, {counted(self.cores, 'core')}, "
            f"{counted(self.threads, 'thread')}, "
            f"int8 dot products: {dot_products}"
        )


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
