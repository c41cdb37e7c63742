"""See each cell of a page before it runs."""

import ast
import codeop
import sys
from collections.abc import Callable
from typing import Any


def before_each(call: Callable[[ast.Module], None]) -> None:
    """Call a function with each cell that Sphinx-Gallery compiles from now on, which codeop does.

    The function may change the syntax tree. The last expression of a cell comes by itself.
    """

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "compile" and isinstance(arguments[0], ast.Module):
            caller = sys._getframe(1).f_code  # noqa: SLF001 - the event does not name the file
            if caller is codeop.Compile.__call__.__code__:
                call(arguments[0])

    sys.addaudithook(hook)
