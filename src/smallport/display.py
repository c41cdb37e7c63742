"""Show tables, code and progress to readers, and hide log lines that tell them nothing."""

import ast
import html
import inspect
import itertools
import logging
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from smallport.quantities import format_number

if TYPE_CHECKING:
    import matplotlib.axes

T = TypeVar("T")

NOTEBOOK_INTERVAL = 5.0
"""Seconds between two updates of a progress bar in a notebook."""

MESSAGE_WIDTH = 88
"""Characters in a line of an output box of the site."""


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """A data frame as pages show it: HTML in the site and in notebooks, text elsewhere.

    Parameters
    ----------
    frame
        The table to show. Numbers are rounded to three significant digits, and written with powers
        of ten in HTML; the index is left out.
    caption
        A title for the table, in a line.
    """

    frame: pd.DataFrame
    caption: str

    def __repr__(self) -> str:
        text = self.frame.to_string(index=False, float_format=_three_digits)
        return f"{self.caption}:\n{text}"

    def _repr_html_(self) -> str:
        """Write a table that scrolls in a box of its own, which the keyboard reaches."""
        # A name of all columns would become a header in each row.
        table = self.frame.rename_axis(columns=None).to_html(
            index=False, border=0, justify="left", float_format=format_number
        )
        caption = html.escape(self.caption)
        table = table.replace("<thead>", f"<caption>{caption}</caption>\n  <thead>", 1)
        table = table.replace("<th>", '<th scope="col">')  # pandas escapes what cells hold
        return f'<div role="region" aria-label="{caption}" tabindex="0">\n{table}\n</div>'


def _three_digits(number: float) -> str:
    return f"{number:.3g}"


def show_table(frame: pd.DataFrame, caption: str) -> Table:
    """Show a data frame at the end of a cell.

    In the site and in a notebook the returned object is the cell's value and is shown as an HTML
    table. Where nobody looks at the value, as in a script, the table is printed.

    Parameters
    ----------
    frame
        The table to show, without its index.
    caption
        A title for the table, in a line.

    Examples
    --------
    >>> found = pd.DataFrame({"route": ["eager", "ONNX"], "difference": [0, 1.234e-7]})
    >>> table = show_table(found, "Largest differences")
    Largest differences:
    route  difference
    eager           0
     ONNX    1.23e-07
    """
    table = Table(frame, caption)
    if not _values_are_shown():
        print(table)  # noqa: T201 - it is what a script shows
    return table


def require_image_of(axes: "matplotlib.axes.Axes", table: pd.DataFrame) -> None:
    """Require that the image in a figure has each number of a table where its labels say so.

    Parameters
    ----------
    axes
        The axes, with an image and with the table's index and columns as labels.
    table
        The table.

    Raises
    ------
    AssertionError
        When a number is in another place, as in an image that is upside down, or another number.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> table = pd.DataFrame({"one": [1.0, 2.0]}, index=["top", "bottom"])
    >>> axes = plt.figure().subplots()
    >>> _ = axes.set_xticks([0], ["one"]), axes.set_yticks([0, 1], table.index)
    >>> image = axes.imshow(table)
    >>> require_image_of(axes, table)
    >>> image.set_data(table[::-1])
    >>> require_image_of(axes, table)
    Traceback (most recent call last):
        ...
    AssertionError: the image has 2.0 at top, one, and the table has 1.0
    """
    (image,) = axes.images
    left, right, bottom, top = image.get_extent()
    if image.origin == "upper":
        bottom, top = top, bottom
    shown: np.ndarray = np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan)
    rows, columns = (
        dict(zip(map(str, axis.get_major_formatter().format_ticks(places)), places, strict=True))
        for axis in (axes.yaxis, axes.xaxis)
        for places in [axis.get_ticklocs().tolist()]
    )
    for (row, column), number in zip(
        itertools.product(table.index, table.columns), table.to_numpy().flat, strict=True
    ):
        y = int((rows[str(row)] - bottom) / (top - bottom) * len(shown))
        x = int((columns[str(column)] - left) / (right - left) * shown.shape[1])
        if not np.array_equal(shown[y, x], number, equal_nan=True):
            raise AssertionError(
                f"the image has {shown[y, x]} at {row}, {column}, and the table has {number}"
            )


def _values_are_shown() -> bool:
    """Whether Sphinx-Gallery or IPython runs this code: both show the value of a cell."""
    ipython = sys.modules.get("IPython")
    return "sphinx_gallery.gen_rst" in sys.modules or (
        ipython is not None and ipython.get_ipython() is not None
    )


def source_of(thing: type | Callable[..., object]) -> str:
    """Look up the code of a class or function, without its docstrings.

    A page that shows code from where it runs cannot show another version of it.

    Parameters
    ----------
    thing
        A class or function that was defined in a file.

    Returns
    -------
    str
        Its source as it is formatted in the file, not indented.

    Raises
    ------
    OSError
        When there is no source, as for something typed at a prompt.

    Examples
    --------
    >>> print(source_of(_three_digits))
    def _three_digits(number: float) -> str:
        return f"{number:.3g}"
    """
    source = textwrap.dedent(inspect.getsource(thing))
    lines = source.splitlines()
    dropped: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            first, last = node.body[0].lineno, node.body[0].end_lineno or node.body[0].lineno
            if last < len(lines) and not lines[last].strip():
                last += 1  # a class leaves a line empty after its docstring
            dropped.update(range(first - 1, last))
    return "\n".join(line for number, line in enumerate(lines) if number not in dropped)


def show_message(message: str) -> None:
    """Print the message of an error, in lines that fit a page.

    The advice on ``draft_export`` that ends most messages of :func:`torch.export.export` is left
    out.

    Parameters
    ----------
    message
        The message, or lines of a log.

    Examples
    --------
    >>> show_message("Guard failed: hidden.size()[1] <= 15")
    Guard failed: hidden.size()[1] <= 15
    """
    for line in message.partition("\n\nThe error above occurred")[0].splitlines():
        print(  # noqa: T201 - it is what a page shows
            textwrap.fill(line, MESSAGE_WIDTH, break_long_words=False, break_on_hyphens=False)
        )


@contextmanager
def errors_only(*loggers: str) -> Iterator[None]:
    """Hide log messages below the level of errors within a block.

    Parameters
    ----------
    loggers
        Names of loggers; those below them are quiet too, unless they have a level of their own.

    Examples
    --------
    >>> with errors_only("transformers"):
    ...     logging.getLogger("transformers").warning("not shown")
    """
    levels = {name: logging.getLogger(name).level for name in loggers}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def progress_bar(items: Iterable[T], label: str, *, unit: str, enabled: bool = True) -> "tqdm[T]":
    """Wrap an iterable in a progress bar that only people see.

    A docs build captures what a page writes to ``sys.stderr`` and puts it on the page, where a
    progress bar is noise. The bar therefore goes to the process's own standard error, past any
    capture, and only where that is a terminal. A notebook keeps every update among its outputs, so
    there the bar is a line of text that appears after ``NOTEBOOK_INTERVAL`` seconds and is updated
    as rarely.

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
        delay=NOTEBOOK_INTERVAL if in_notebook else 0,
        mininterval=NOTEBOOK_INTERVAL if in_notebook else 0.1,
        leave=False,
    )
