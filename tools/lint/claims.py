"""What a page claims: the calls in its text, and whether a run came to each of them.

A page claims with ``check``, ``report`` and ``raises`` of :mod:`smallport.checks`, and with
``assert``. A claim that stands under a condition can be skipped in silence, so it has to be
declared with ``# lint: conditional: REASON``; of the others a run leaves a trace.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.gallery.project import Finding, finding

CALLS = ("check", "report", "raises")
CONDITIONAL = re.compile(r"# lint: conditional:[ \t]*(?P<reason>.*)")
ANY = ".*"


@dataclass(frozen=True)
class Claim:
    """A claim in a page's text.

    Parameters
    ----------
    kind
        ``check``, ``report``, ``raises`` or ``assert``.
    line
        Where it stands.
    pattern
        A regular expression for the name that a run records; for ``raises``, for the type of the
        exception and the announced texts.
    conditions
        The lines of the conditions that it stands under.
    declared
        The reason why it may be skipped, where the page gives one.
    """

    kind: str
    line: int
    pattern: str
    conditions: tuple[int, ...] = ()
    declared: str | None = None

    @property
    def literal(self) -> bool:
        """Whether its name stands in the text as it is recorded."""
        return ANY not in self.pattern


def claims(text: str) -> list[Claim]:
    r"""Find the claims in a page, in their order.

    Raises
    ------
    SyntaxError
        When the page does not parse.

    Examples
    --------
    >>> [claim.pattern for claim in claims('check(f"{name}: loss", 1, at_most=2)')]
    ['.*:\\ loss']
    """
    reasons = {
        number: found["reason"].strip()
        for number, line in enumerate(text.splitlines(), start=1)
        if (found := CONDITIONAL.search(line))
    }
    return sorted(_claims_below(ast.parse(text), (), reasons), key=lambda claim: claim.line)


def _claims_below(
    node: ast.AST, conditions: tuple[int, ...], reasons: dict[int, str]
) -> Iterator[Claim]:
    for child in ast.iter_child_nodes(node):
        inner = conditions
        if _is_condition(node, child):
            inner = (*conditions, getattr(child, "lineno", getattr(node, "lineno", 1)))
        kind = _kind(child)
        if kind and isinstance(child, ast.Call | ast.Assert):
            lines = [child.lineno, *inner]
            near = [number for line in lines for number in (line, line - 1)]
            declared = next((reasons[number] for number in near if number in reasons), None)
            yield Claim(kind, child.lineno, _pattern(kind, child), inner, declared)
        yield from _claims_below(child, inner, reasons)


def _kind(node: ast.AST) -> str:
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
    """Tell whether what stands below a node may be skipped; handlers have rules of their own."""
    branching = ast.If | ast.While | ast.Match | ast.IfExp | ast.BoolOp
    later = isinstance(parent, ast.Try | ast.TryStar) and child in parent.orelse
    return isinstance(child, branching) or later


def _pattern(kind: str, node: ast.Call | ast.Assert) -> str:
    if isinstance(node, ast.Assert):
        return ""
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    first = node.args[0] if node.args else keywords.get("name", keywords.get("expected"))
    if kind != "raises":
        return _text_pattern(first)
    error = ast.unparse(first).rpartition(".")[2] if first else ANY
    texts = keywords.get("match")
    parts = texts.elts if isinstance(texts, ast.Tuple | ast.List) else [texts]
    return " ".join([re.escape(error), *map(_text_pattern, parts)])


def _text_pattern(node: ast.AST | None) -> str:
    """Write a text, or one with gaps, as a regular expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _text_pattern(part) if isinstance(part, ast.Constant) else ANY for part in node.values
        )
    return ANY


def undeclared(script: Path, text: str) -> Iterator[Finding]:
    """Find claims that a condition may skip unseen, and pages that claim nothing."""
    found = claims(text)
    for claim in found:
        if claim.conditions and not claim.declared:
            yield finding(
                script,
                claim.line,
                "conditional",
                f"this {claim.kind} stands under the condition of line {claim.conditions[-1]} and "
                "can vanish unseen: claim it always, or write '# lint: conditional: REASON' above",
            )
    if not any(claim.kind in {"check", "raises"} for claim in found):
        message = "makes no checks: claim something with smallport.checks.check"
        yield finding(script, None, "claims", message)


def unmet(script: Path, names: Iterable[str], announced: Iterable[str]) -> Iterator[Finding]:
    """Find claims in a page's text that its run never came to.

    Parameters
    ----------
    script
        The page.
    names
        The names of the results that the run recorded.
    announced
        The announced failures that it met: the type of each and the texts, with blanks between.
    """
    recorded = {"results": list(names), "failures": list(announced)}
    stated = [claim for claim in claims(script.read_text("utf-8")) if claim.kind != "assert"]
    for claim in sorted(stated, key=lambda claim: not claim.literal):
        left = recorded["failures" if claim.kind == "raises" else "results"]
        met = _matching(claim, left)
        if met is not None and claim.literal:
            left.remove(met)
        elif met is None and claim.declared is None:
            yield finding(
                script,
                claim.line,
                "claims",
                f"this {claim.kind} was never reached, so its claim is not made: let the page "
                "come to it, or write '# lint: conditional: REASON' above",
            )


def _matching(claim: Claim, recorded: Sequence[str]) -> str | None:
    whole = re.compile(claim.pattern, re.DOTALL)
    return next((name for name in recorded if whole.fullmatch(name)), None)
