"""The claims of a page: the calls in its text, and whether a run came to each of them.

A page claims with ``check``, ``report`` and ``raises`` of :mod:`smallport.checks`, and with
``assert``. A run has to come to each of them at least once. A claim under a condition
can be skipped in silence, so it has to be declared with ``# lint: conditional: REASON``.
"""

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.gallery.project import Finding, finding

CALLS = ("check", "report", "raises")
CONDITIONAL = re.compile(r"# lint: conditional:[ \t]*(?P<reason>.*)")

Place = tuple[int, int]
"""The line and the column where a claim begins."""


@dataclass(frozen=True)
class Claim:
    """A claim in a page's text.

    Parameters
    ----------
    kind
        ``check``, ``report``, ``raises`` or ``assert``.
    place
        Where it begins.
    conditions
        The lines of the conditions around it.
    declared
        The reason why it may be skipped, where the page gives one.
    """

    kind: str
    place: Place
    conditions: tuple[int, ...] = ()
    declared: str | None = None

    @property
    def line(self) -> int:
        """The line where it begins."""
        return self.place[0]


def claims(text: str) -> list[Claim]:
    r"""Find the claims in a page, in their order.

    Raises
    ------
    SyntaxError
        When the page does not parse.

    Examples
    --------
    >>> [(claim.kind, claim.place) for claim in claims("if new:\n    assert sizes")]
    [('assert', (2, 4))]
    """
    reasons = {
        number: found["reason"].strip()
        for number, line in enumerate(text.splitlines(), start=1)
        if (found := CONDITIONAL.search(line))
    }
    return sorted(_claims_below(ast.parse(text), (), reasons), key=lambda claim: claim.place)


def _claims_below(
    node: ast.AST, conditions: tuple[int, ...], reasons: dict[int, str]
) -> Iterator[Claim]:
    for child in ast.iter_child_nodes(node):
        inner = conditions
        if _is_condition(node, child):
            inner = (*conditions, getattr(child, "lineno", getattr(node, "lineno", 1)))
        if isinstance(child, ast.Call | ast.Assert) and (kind := kind_of(child)):
            lines = [child.lineno, *inner]
            near = [number for line in lines for number in (line, line - 1)]
            declared = next((reasons[number] for number in near if number in reasons), None)
            yield Claim(kind, (child.lineno, child.col_offset), inner, declared)
        yield from _claims_below(child, inner, reasons)


def kind_of(node: ast.AST) -> str:
    """Tell which kind of claim a node is; empty if it is none."""
    if isinstance(node, ast.Assert):
        return "assert"
    if isinstance(node, ast.Call):
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else None
        owner = function.value if isinstance(function, ast.Attribute) else None
        if isinstance(owner, ast.Name) and owner.id == "checks" and name in CALLS:
            return name
        if isinstance(function, ast.Name) and function.id in CALLS:
            return function.id
    return ""


def _is_condition(parent: ast.AST, child: ast.AST) -> bool:
    """Tell whether code below a node may be skipped; handlers have separate rules."""
    branching = ast.If | ast.While | ast.Match | ast.IfExp | ast.BoolOp
    later = isinstance(parent, ast.Try | ast.TryStar) and child in parent.orelse
    return isinstance(child, branching) or later


def conditional(script: Path, text: str) -> Iterator[Finding]:
    """Find claims that a condition may skip unseen, and pages that claim nothing."""
    found = claims(text)
    for claim in found:
        if claim.conditions and not claim.declared:
            yield finding(
                script,
                claim.line,
                "conditional",
                f"this {claim.kind} depends on the condition of line {claim.conditions[-1]} and "
                "can vanish unseen: claim it always, or write '# lint: conditional: REASON' above",
            )
    if not any(claim.kind in {"check", "raises"} for claim in found):
        message = "makes no checks: claim something with smallport.checks.check"
        yield finding(script, None, "claims", message)


def unreached(script: Path, places: Collection[Place]) -> Iterator[Finding]:
    """Find claims in a page's text that its run never came to.

    Parameters
    ----------
    script
        The page.
    places
        The places of the claims that the run came to.
    """
    for claim in claims(script.read_text(encoding="utf-8")):
        if claim.place not in places and claim.declared is None:
            yield finding(
                script,
                claim.line,
                "claims",
                f"this {claim.kind} was never reached, so its claim is not made: let the page "
                "come to it, or write '# lint: conditional: REASON' above",
            )
