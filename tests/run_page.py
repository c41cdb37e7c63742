"""Run a page as somebody who downloaded it: ``python run_page.py PAGE``, warnings as errors.

``-W`` on the command line cannot name a message that holds a colon or a comma, so the filters are
set here.
"""

import runpy
import sys
import warnings

IGNORED: list[tuple[str, type[Warning]]] = []
"""Message and category of each warning that a page may give, with the reason in a comment."""

if __name__ == "__main__":
    warnings.filterwarnings("error")
    for message, category in IGNORED:
        warnings.filterwarnings("ignore", message, category)
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
