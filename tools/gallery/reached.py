"""The claims that a run of a page comes to, noted by marks in its syntax tree.

A mark stands around the condition of an ``assert`` and around the function of ``check``, ``report``
and ``raises``, so that each is noted when it is executed, with the line numbers as they were.
"""

import ast
import builtins
import json
import os
from pathlib import Path
from typing import TypeVar

from tools.gallery import settings
from tools.lint import claims

MARK = "__reached__"
"""The name of the function that notes a claim, which pages find among the built-in ones."""

_Value = TypeVar("_Value")
_places: dict[claims.Place, None] = {}


class Marks(ast.NodeTransformer):
    """Puts a mark around each claim of a syntax tree."""

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        """Mark the condition of an assertion."""
        self.generic_visit(node)
        node.test = _marked(node, node.test)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """Mark the function, if it is one that claims."""
        claimed = claims.kind_of(node)
        self.generic_visit(node)
        if claimed:
            node.func = _marked(node, node.func)
        return node


def _marked(claim: ast.Assert | ast.Call, value: ast.expr) -> ast.Call:
    """Write a call that notes a claim and returns a value of it."""
    place = [ast.Constant(claim.lineno), ast.Constant(claim.col_offset)]
    call = ast.Call(ast.Name(MARK, ast.Load()), [*place, value], [])
    return ast.fix_missing_locations(ast.copy_location(call, value))


def mark(tree: ast.Module) -> None:
    """Mark the claims in a syntax tree, so that they are noted from now on."""
    setattr(builtins, MARK, _note)
    Marks().visit(tree)


def _note(line: int, column: int, value: _Value) -> _Value:
    _places[line, column] = None
    return value


def record() -> None:
    """Append the claims that this process came to to the results of its page."""
    if file := os.environ.get(settings.RESULTS_FILE):
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"Reached": list(_places)}) + "\n")


def read(file: Path) -> set[claims.Place]:
    """Read the claims that a run came to from the results of its page."""
    if not file.exists():
        return set()
    entries = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {tuple(place) for entry in entries for place in entry.get("Reached", [])}
