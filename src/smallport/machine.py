"""Describe the machine that something was measured on."""

from __future__ import annotations

import os
import platform
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from smallport.quantities import counted

INT8_DOT_PRODUCTS = {
    "avx512_vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "amx_int8": "amx_int8",
    "dot": "asimddp",
    "i8mm": "i8mm",
}
"""Capabilities that multiply and add int8 at once, by PyTorch's and Linux's names."""

CPUINFO = Path("/proc/cpuinfo")


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
    """Name the int8 dot-product instructions of this processor; empty where it has none.

    Warns
    -----
    UserWarning
        When Linux names others than PyTorch. Then a speed that depends on them is not checked, or
        is checked without reason.
    """
    capabilities = torch.cpu.get_capabilities()
    found = tuple(name for name in INT8_DOT_PRODUCTS if capabilities.get(name))
    flags = _cpuinfo("flags", "Features").split()
    listed = tuple(name for name, flag in INT8_DOT_PRODUCTS.items() if flag in flags)
    if flags and listed != found:
        warnings.warn(
            f"PyTorch names the int8 dot products {', '.join(found) or 'none'}, and {CPUINFO} "
            f"{', '.join(listed) or 'none'}: one of the names has changed, or one hides some",
            stacklevel=2,
        )
    return found


def processor_name() -> str:
    """Name the processor's model, or at least its architecture."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(*keys: str) -> str:
    """Read the first value of one of some keys that Linux tells about the processor."""
    text = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.exists() else ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in keys:
            return value.strip()
    return ""


def usable_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
