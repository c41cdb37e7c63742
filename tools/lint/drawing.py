"""Cells that only draw: the page folds them away, and what they say of themselves is the alt text.

Such a cell begins with a comment ``# Drawing: TEXT``, on as many lines as it takes. TEXT says what
is to be seen in the figure, for those who do not see it. It means nothing to Python, and reads as a
comment in the script and in the notebook.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tools.gallery.project import Finding, finding
from tools.lint import claims, folded

FEWEST_WORDS = 8
LIBRARY = "plt"
"""The name by which pages know Matplotlib's interface for drawing."""

SHOWING = {"print", "show_table"}


class Cell(Protocol):
    """A cell of a page, as lint splits it."""

    @property
    def kind(self) -> str:
        """``text`` or ``code``."""

    @property
    def line(self) -> int:
        """The first line of it that holds something."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Its lines."""


def described(code: str) -> str | None:
    r"""Read what a cell says that it draws; None where it is no such cell.

    Examples
    --------
    >>> described("# Drawing: bars that fall\n# from left to right\nplt.show()")
    'bars that fall from left to right'
    >>> described("plt.show()") is None
    True
    """
    return folded.description_of(code) if folded.kind_of(code) is folded.DRAWING else None


def findings(script: Path, cells: Sequence[Cell]) -> Iterator[Finding]:
    """Find cells that draw and do not say what, and those that say so and do something else."""
    drawn: dict[str, int] = {}
    for cell in cells:
        if cell.kind != "code":
            continue
        text = "\n".join(cell.lines)
        tree = ast.parse(text)
        kind = folded.kind_of(text)
        if kind is None:
            drawn = {name: line for name, line in drawn.items() if name not in _assigned(tree)}
            found = _hidden_parts(tree, drawn)
        elif kind is folded.DRAWING:
            drawn |= dict.fromkeys(_assigned(tree), cell.line)
            found = _misuse(text, tree, folded.description_of(text))
        else:
            found = _hidden_parts(tree, {})  # it may use what other folded cells define
            drawn |= dict.fromkeys(_assigned(tree), cell.line)
            if not folded.description_of(text):
                found = iter([(1, f"says nothing after '# {kind.mark}:': say what it is about")])
            elif kind is folded.GUARD and not folded.description_of(text).startswith("against "):
                found = iter([(1, "does not say against what: begin with '# Guard: against '")])
        for line, message in found:
            yield finding(script, cell.line + line - 1, "drawing", message)


def _hidden_parts(tree: ast.Module, drawn: dict[str, int]) -> Iterator[tuple[int, str]]:
    """Find in a cell that is shown what belongs into one that is folded, or hangs on one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == LIBRARY:
            if node.attr != "close":
                message = "this cell draws: begin it with '# Drawing: ' and what is to be seen"
                yield node.lineno, message
                return
        elif isinstance(node, ast.Name) and node.id in drawn:
            message = (
                f"uses {node.id!r} of the folded cell in line {drawn[node.id]}: define it in a "
                "cell that readers see"
            )
            yield node.lineno, message


def _misuse(text: str, tree: ast.Module, description: str) -> Iterator[tuple[int, str]]:
    """Find in a cell that is folded what readers have to see."""
    titles = {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value
    }
    if len(description.split()) < FEWEST_WORDS or description.rstrip(".") in titles:
        yield 1, f"says too little for those who do not see it: {description!r}"
    for claim in claims.claims(text):
        yield claim.line, f"this {claim.kind} would be folded away: move it into the next cell"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SHOWING:
            yield node.lineno, f"{ast.unparse(node.func)} does not draw: move it into another cell"


def _assigned(tree: ast.Module) -> set[str]:
    """Name what a cell defines; what it imports is known by its name."""
    names = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return names | arguments | {node.name for node in tree.body if hasattr(node, "name")}
