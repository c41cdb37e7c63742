"""The claims of a page: the calls in its text, and how often a run came to each of them.

A page claims with ``check``, ``report`` and ``raises`` of :mod:`smallport.checks`, and with
``assert``. A run has to come to each of them at least once, and to those in loops and functions,
and to the elements of comprehensions, as often as ``docs/turns.json`` says. A claim under a
condition can be skipped in silence, so it has to be declared with ``# lint: conditional: REASON``.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.gallery import project
from tools.gallery.project import Finding, finding

CALLS = ("check", "report", "raises")
CONDITIONAL = re.compile(r"# lint: conditional:[ \t]*(?P<reason>.*)")

TURNS = project.DOCS / "turns.json"
"""The number of times that each page comes to its claims in loops and to its elements."""

Turns = int | list[int]
"""A number, or the least and the greatest, written by hand where the machine decides."""

MANY = 20
"""From here on numbers depend on the text or the packages, and are not compared."""

LONGEST_LABEL = 72

Elements = ast.ListComp | ast.SetComp | ast.GeneratorExp
COMPREHENSIONS = (*Elements.__args__, ast.DictComp)
REPEATING = (ast.For, ast.While, ast.FunctionDef, ast.Lambda, *COMPREHENSIONS)

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


def unreached(
    script: Path, turns: Mapping[Place, int], *, compared: bool = True
) -> Iterator[Finding]:
    """Find claims in a page's text to which its run never came, or not as often as it has to.

    Parameters
    ----------
    script
        The page.
    turns
        How often the run came to each place.
    compared
        Whether to compare the counts with those of ``docs/turns.json``, which are of the
        ``embedded`` assets.
    """
    text = script.read_text(encoding="utf-8")
    never = {
        claim.place for claim in claims(text) if claim.place not in turns and not claim.declared
    }
    for claim in claims(text):
        if claim.place in never:
            yield finding(
                script,
                claim.line,
                "claims",
                f"this {claim.kind} was never reached, so its claim is not made: let the page "
                "come to it, or write '# lint: conditional: REASON' above",
            )
    expected, found = known_turns().get(script.stem, {}), labelled(script, turns)
    for (line, column), label in repeated(text).items() if compared else ():
        if (line, column) not in never and not fits(found[label], expected.get(label)):
            yield finding(
                script,
                line,
                "claims",
                f"`{label}` ran {found[label]} ×, and {TURNS.name} has "
                f"{expected.get(label, 'no count')}: look which of its cases are lost or new. If "
                "the page was changed to that end, run `python -m tools.gallery.reached`",
            )


def known_turns() -> dict[str, dict[str, Turns]]:
    """Read how often each page has to come to each text, by the page's name."""
    if not TURNS.exists():
        return {}
    known: dict[str, dict[str, Turns]] = json.loads(TURNS.read_text(encoding="utf-8"))
    return known


def fits(turns: int, expected: Turns | None) -> bool:
    """Tell whether something ran as often as it has to.

    Examples
    --------
    >>> fits(3, 3), fits(3, [1, 4]), fits(3, None), fits(82_449, 80_000)
    (True, True, False, True)
    """
    if isinstance(expected, int) and expected >= MANY:
        return turns >= MANY
    low, high = expected if isinstance(expected, list) else (expected, expected)
    return low is not None and high is not None and low <= turns <= high


def labelled(script: Path, turns: Mapping[Place, int]) -> Counter[str]:
    """Count how often a run came to each text that it can come to more than once.

    Parameters
    ----------
    script
        The page.
    turns
        How often the run came to each place.
    """
    found: Counter[str] = Counter()
    for place, label in repeated(script.read_text(encoding="utf-8")).items():
        found[label] += turns.get(place, 0)
    return found


def _beginning(segment: str) -> str:
    """Take the first words of a passage."""
    if len(segment) <= LONGEST_LABEL:
        return segment
    return segment[:LONGEST_LABEL].rpartition(" ")[0] or segment[:LONGEST_LABEL]


def repeated(text: str) -> dict[Place, str]:
    r"""Find what may run any number of times: claims in loops and functions, and elements.

    Under a condition, the number may depend on the machine, and is not looked at.

    Examples
    --------
    >>> repeated("for size in sizes:\n    assert size\nodd = [one for one in sizes if one % 2]")
    {(2, 4): 'assert size', (3, 6): '[one for one in sizes if one % 2]'}
    """
    found: dict[Place, str] = {}
    nodes: list[tuple[ast.AST, bool]] = [(ast.parse(text), False)]
    while nodes:
        node, repeats = nodes.pop()
        claims_again = repeats and isinstance(node, ast.Assert | ast.Call) and kind_of(node)
        if isinstance(node, ast.stmt | ast.expr) and (
            isinstance(node, COMPREHENSIONS) or claims_again
        ):
            segment = " ".join((ast.get_source_segment(text, node) or "").split())
            found[node.lineno, node.col_offset] = _beginning(segment)
        repeats = repeats or isinstance(node, REPEATING)
        nodes += [
            (child, repeats)
            for child in ast.iter_child_nodes(node)
            if not _is_condition(node, child)
        ]
    return dict(sorted(found.items()))
