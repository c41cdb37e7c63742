"""The claims that a run of a page comes to, counted by marks in its syntax tree.

A mark stands around the condition of an ``assert``, around the function of ``check``, ``report``
and ``raises``, and around the element of a comprehension, so that each is counted when it is
executed, with the line numbers as they were. ``python -m tools.gallery.reached`` writes the counts
of the last runs into ``docs/turns.json``, with which later runs are compared.
"""

import ast
import builtins
import json
import os
import reprlib
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

from smallport import files
from tools.gallery import project, settings
from tools.lint import claims

MARK = "__reached__"
"""The name of the function that notes a claim, which pages find among the built-in ones."""

VALUE, EXPLANATION = "__value__", "__explanation__"
"""The names of the functions that note an operand of an assertion, and that name them."""

LONGEST = 60
"""The number of letters of an operand that a message shows."""

PLAIN = (bool, int, float, str, tuple, list, dict, set, type(None))
"""The types whose values are named."""

_Value = TypeVar("_Value")
_values: dict[str, Any] = {}
_turns: Counter[claims.Place] = Counter()


class Marks(ast.NodeTransformer):
    """Puts a mark around each claim of a syntax tree, and around each element."""

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        """Mark the condition of an assertion, and give it a message if it has none."""
        if node.msg is None:
            node.test = _with_values(node)
            node.msg = _call(EXPLANATION, node)
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

    def visit_ListComp(self, node: claims.Elements) -> claims.Elements:
        """Mark the element of a comprehension."""
        self.generic_visit(node)
        node.elt = _marked(node, node.elt)
        return node

    visit_SetComp = visit_GeneratorExp = visit_ListComp  # noqa: N815 - the names that ast asks for

    def visit_DictComp(self, node: ast.DictComp) -> ast.DictComp:
        """Mark the value of a comprehension."""
        self.generic_visit(node)
        node.value = _marked(node, node.value)
        return node


def _marked(node: ast.stmt | ast.expr, value: ast.expr) -> ast.Call:
    """Write a call that counts a node and returns a value of it."""
    return _call(MARK, node, value)


def _with_values(node: ast.Assert) -> ast.expr:
    """Have the operands of a condition noted, or the condition itself if it has none."""

    def noted(value: ast.expr) -> ast.expr:
        if isinstance(value, ast.Constant):
            return value
        return _call(VALUE, node, ast.Constant(ast.unparse(value)), value)

    test = node.test
    if isinstance(test, ast.Compare):
        return ast.copy_location(
            ast.Compare(noted(test.left), test.ops, [noted(one) for one in test.comparators]), test
        )
    if isinstance(test, ast.UnaryOp):
        return ast.copy_location(ast.UnaryOp(test.op, noted(test.operand)), test)
    return noted(test)


def _call(function: str, node: ast.stmt | ast.expr, *arguments: ast.expr) -> ast.Call:
    """Write a call of one of the functions of this module, about the place of a node."""
    place = [ast.Constant(node.lineno), ast.Constant(node.col_offset)]
    call = ast.Call(ast.Name(function, ast.Load()), [*place, *arguments], [])
    near = arguments[-1] if arguments else node
    return ast.fix_missing_locations(ast.copy_location(call, near))


def mark(tree: ast.Module) -> None:
    """Mark the claims in a syntax tree, so that they are counted from now on."""
    for name, function in ((MARK, _note), (VALUE, _note_value), (EXPLANATION, _explain)):
        setattr(builtins, name, function)
    Marks().visit(tree)


def _note(line: int, column: int, value: _Value) -> _Value:
    _turns[line, column] += 1
    return value


def _note_value(line: int, column: int, source: str, value: _Value) -> _Value:
    """Keep the value of an operand until the next assertion; of a large one only its type."""
    if _values.get("place") != (line, column):
        _values.clear()
        _values["place"] = (line, column)
    _values[source] = value if isinstance(value, PLAIN) else type(value)
    return value


def _explain(line: int, column: int) -> str:
    """Say which values the operands of an assertion have, which has no message of its own."""
    if _values.pop("place", None) != (line, column):
        return "its values were not noted"
    return ", ".join(
        f"{textwrap.shorten(source, LONGEST)} is {reprlib.repr(value)}"
        for source, value in _values.items()
    )


def record() -> None:
    """Append how often this process came to each claim to the results of its page."""
    if file := os.environ.get(settings.RESULTS_FILE):
        counted = [[*place, turns] for place, turns in _turns.items()]
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"Reached": counted}) + "\n")


def read(file: Path) -> Counter[claims.Place]:
    """Read how often a run came to each claim from the results of its page."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    counted = [one for line in lines for one in json.loads(line).get("Reached", [])]
    return Counter({(line, column): turns for line, column, turns in counted})


def main() -> None:
    """Write the counts of the last runs, for whoever changed a page to look at."""
    from tools.gallery import runs  # noqa: PLC0415 - which reads these counts, too

    known, counted = claims.known_turns(), {}
    for script in project.in_reading_order():
        before = known.get(script.stem, {})
        run = runs.read(script)
        if not (run and run.passed):
            print(f"{script.name}: its last run did not pass, so its counts stay as they were")
            counted[script.stem] = before
            continue
        counted[script.stem] = {
            label: before[label] if claims.fits(turns, before.get(label)) else turns
            for label, turns in claims.labelled(script, read(runs.results_file(script))).items()
        }
    files.write_json(claims.TURNS, counted)


if __name__ == "__main__":
    main()
