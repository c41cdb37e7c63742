"""Rules on code that lets a failure or a warning go by: handlers, suppressions, blanket filters."""

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tools.gallery.project import Finding, finding

INSTEAD = "use smallport.checks.raises"


def careless(script: Path, text: str) -> Iterator[Finding]:
    """Apply every rule of this module to a page that parses."""
    tree = ast.parse(text)
    found = chain(
        _exception_handlers(tree), _suppressions(tree), _lost_exceptions(tree), _filters(tree)
    )
    for line, rule, message in found:
        yield finding(script, line, rule, message)


def _exception_handlers(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    asserts = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    for attempt in (node for node in ast.walk(tree) if isinstance(node, ast.Try | ast.TryStar)):
        for handler in attempt.handlers:
            place = (handler.lineno, "handler")
            if names_in(handler.type) & {"Exception", "BaseException"} or handler.type is None:
                yield *place, "catches everything: name the exception that the page announces"
                continue
            caught = names_in(*handler.body, assigned=True) | {handler.name}
            if not any(caught & names_in(claim) for claim in asserts):
                yield *place, f"catches a failure and asserts nothing on its message: {INSTEAD}"
            if not any(isinstance(node, ast.Raise) for node in attempt.orelse):
                yield *place, f"still passes when upstream fixes the failure: {INSTEAD}"


def names_in(*trees: ast.AST | None, assigned: bool = False) -> set[str | None]:
    """Collect the names and attributes in some code, or only the names that it assigns."""
    nodes = [node for tree in trees if tree is not None for node in ast.walk(tree)]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    if assigned:
        return {name.id for name in names if isinstance(name.ctx, ast.Store)}
    attributes = (node.attr for node in nodes if isinstance(node, ast.Attribute))
    return {*attributes, *(name.id for name in names)}


def _suppressions(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if "suppress" in names_in(call.func):
            message = f"suppresses a failure, whether it happens or not: {INSTEAD}"
            yield call.lineno, "suppress", message


def _lost_exceptions(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Find code that drops an exception without a handler."""
    leaving = ast.Return | ast.Break | ast.Continue
    for node in ast.walk(tree):
        if isinstance(node, ast.Try | ast.TryStar):
            for inner in (inner for stated in node.finalbody for inner in ast.walk(stated)):
                if isinstance(inner, leaving):
                    word = type(inner).__name__.lower()
                    message = f"{word} in finally swallows whatever was raised: put it after"
                    yield inner.lineno, "finally", message
        if isinstance(node, ast.FunctionDef) and node.name == "__exit__":
            for inner in (inner for inner in ast.walk(node) if isinstance(inner, ast.Return)):
                value = inner.value
                if value and not (isinstance(value, ast.Constant) and not value.value):
                    message = "__exit__ returns a value, which swallows exceptions: return None"
                    yield inner.lineno, "exit", message


def _filters(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Find filters that hide every warning, or every one of a category."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = ast.unparse(call.func).rpartition(".")[2]
        if function not in {"filterwarnings", "simplefilter", "catch_warnings"}:
            continue
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        positional = call.args if function != "catch_warnings" else []
        action = positional[0] if positional else keywords.get("action")
        message = positional[1] if len(positional) > 1 else keywords.get("message")
        named = function == "filterwarnings" and message is not None
        if named and isinstance(message, ast.Constant):
            named = message.value not in {"", ".*"}
        if isinstance(action, ast.Constant) and action.value == "ignore" and not named:
            advice = (
                "hides warnings that nobody has read: name the one, as in "
                'filterwarnings("ignore", MESSAGE, CATEGORY)'
            )
            yield call.lineno, "filter", advice
