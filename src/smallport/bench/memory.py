"""Let the C library keep large blocks of memory instead of giving them back to the system."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}
"""Environment variables with which glibc keeps blocks of up to 1 GiB, 4 GiB in all.

glibc reads them when a process starts.
"""


def uses_glibc() -> bool:
    """Tell whether this process uses glibc, whose allocator ``KEEP_MEMORY`` sets.

    Examples
    --------
    >>> uses_glibc() in {True, False}
    True
    """
    return platform.libc_ver()[0] == "glibc"


def allocator_environment(*, keep: bool) -> dict[str, str]:
    """Make the environment of a child process, with or without ``KEEP_MEMORY``.

    Parameters
    ----------
    keep
        Whether the C library keeps large blocks. Otherwise its default is used, whatever is set
        for this process.

    Examples
    --------
    >>> allocator_environment(keep=True)["MALLOC_MMAP_THRESHOLD_"]
    '1073741824'
    >>> "MALLOC_MMAP_THRESHOLD_" in allocator_environment(keep=False)
    False
    """
    others = {name: value for name, value in os.environ.items() if name not in KEEP_MEMORY}
    return others | (KEEP_MEMORY if keep else {})


def keeps_memory(environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether an environment, by default that of this process, has ``KEEP_MEMORY``."""
    environment = os.environ if environment is None else environment
    return KEEP_MEMORY.items() <= dict(environment).items()
