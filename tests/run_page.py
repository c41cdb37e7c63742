"""Run a page as somebody who downloaded it: ``python run_page.py PAGE MARK``, warnings as errors.

The file MARK is written when the page came to its end, and only then: a page that ends the process
itself may well return 0. ``-W`` on the command line cannot name a message that holds a colon or a
comma, so the filters are set here.
"""

import ast
import sys
import types
import warnings
from bisect import bisect
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.gallery import reached

del sys.path[0]

IGNORED: list[tuple[str, type[Warning]]] = []
"""Message and category of each warning that a page may give, with the reason in a comment."""

Hook = Callable[[int, dict[str, Any], list[ast.stmt]], None]
"""Called before each cell with its number, the names of the page and the earlier statements."""


def run(page: str, mark: str, before_cell: Hook = lambda *_: None) -> None:
    """Run a page cell by cell, and note the claims that it came to."""
    if sys.flags.optimize:
        sys.exit("Python was started with -O or PYTHONOPTIMIZE, and would pass over assertions")
    warnings.resetwarnings()  # what PYTHONWARNINGS says
    warnings.filterwarnings("error")
    for message, category in IGNORED:
        warnings.filterwarnings("ignore", message, category)
    sys.argv = [page]
    module = types.ModuleType("__main__")
    module.__file__ = page
    sys.modules["__main__"] = module
    earlier: list[ast.stmt] = []
    for number, statements in enumerate(cells(page)):
        before_cell(number, vars(module), earlier)
        code = compile(ast.Module(statements, []), page, "exec", dont_inherit=True)
        exec(code, vars(module))
        earlier += statements
    reached.record()
    Path(mark).write_text("came to its end", encoding="utf-8")


def cells(page: str) -> list[list[ast.stmt]]:
    """Read the statements of each cell, their claims marked."""
    text = Path(page).read_text(encoding="utf-8")
    tree = ast.parse(text, page)
    reached.mark(tree)
    starts = first_lines(text)
    found: list[list[ast.stmt]] = [[] for _ in range(len(starts) + 1)]
    for statement in tree.body:
        found[bisect(starts, statement.lineno)].append(statement)
    return found


def first_lines(text: str) -> list[int]:
    """List the lines where the cells begin, without the first cell's."""
    return [n for n, line in enumerate(text.splitlines(), start=1) if line.startswith("# %%")]


if __name__ == "__main__":
    run(*sys.argv[1:])
