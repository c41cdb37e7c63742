"""Show progress to whoever is watching, and to nobody else."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress_bar(items: Iterable[T], label: str, *, unit: str, enabled: bool = True) -> "tqdm[T]":
    """Wrap an iterable in a progress bar that only people see.

    A docs build captures what a page writes to ``sys.stderr`` and puts it on the page, where a
    progress bar is noise. The bar therefore goes to the process's own standard error, past any
    capture, and only where that is a terminal; in a notebook, to the notebook.

    Parameters
    ----------
    items
        What to go through.
    label
        What is being done.
    unit
        What an item is called.
    enabled
        Whether to show the bar at all.

    Returns
    -------
    tqdm.tqdm
        Yields the items; also a context manager with ``update`` and ``set_postfix_str``.

    Examples
    --------
    >>> list(progress_bar([1, 2], "counting", unit="number", enabled=False))
    [1, 2]
    """
    in_notebook = "ipykernel" in sys.modules
    terminal = sys.__stderr__
    on_terminal = terminal is not None and terminal.isatty()
    return tqdm(
        items,
        desc=label,
        unit=unit,
        file=None if in_notebook else terminal,
        disable=not (enabled and (in_notebook or on_terminal)),
        leave=False,
    )
