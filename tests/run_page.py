"""Run a page as somebody who downloaded it: ``python run_page.py PAGE [MARK]``, warnings as errors.

The file MARK is written when the page came to its end, and only then: a page that ends the process
itself may well return 0. ``-W`` on the command line cannot name a message that holds a colon or a
comma, so the filters are set here.
"""

import runpy
import sys
import warnings
from pathlib import Path

IGNORED: list[tuple[str, type[Warning]]] = []
"""Message and category of each warning that a page may give, with the reason in a comment."""

if __name__ == "__main__":
    if sys.flags.optimize:
        sys.exit("Python was started with -O or PYTHONOPTIMIZE, and would pass over assertions")
    warnings.resetwarnings()  # what PYTHONWARNINGS says
    warnings.filterwarnings("error")
    for message, category in IGNORED:
        warnings.filterwarnings("ignore", message, category)
    _, page, *marks = sys.argv
    sys.argv = [page]
    runpy.run_path(page, run_name="__main__")
    for mark in marks:
        Path(mark).write_text("came to its end", encoding="utf-8")
