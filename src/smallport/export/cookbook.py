"""The recipes against errors of the exporters and wrong numbers, as text for a terminal."""

from __future__ import annotations

import ast
import re
import symtable
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from smallport.export.recipes import CAUSE_PAGES, PAGES

IN_WHEEL = Path(__file__).parent
"""The folder that a wheel contains the scripts of the pages in, as ``.txt``."""

IN_CHECKOUT = Path(__file__).parents[3] / "examples" / "export"

ANCHOR = re.compile(
    r"^# \.\. _recipe-([\w-]+):\n#\n(?:# \.\. _[\w-]+:\n#\n)?# (.+)\n# -+\n", re.MULTILINE
)
HEADING = re.compile(r"^# [^\n]+\n# -{3,}\n", re.MULTILINE)
HARNESS = re.compile(r"^# %%\n\n# (?:Guard|Drawing):.*?(?=^# %%\n|\Z)", re.MULTILINE | re.DOTALL)
TEXT_CELL = re.compile(r"# %%\n((?:#.*\n)+)")
ROLE = re.compile(r":[\w:]+:`([^`]+)`", re.DOTALL)
LINK = re.compile(r"`([^`<]+?)\s+<([^`>]+)>`__?")
UNDERLINE = re.compile(r"-{3,}$", re.MULTILINE)
WIDTH = 88
SHOWING = ("print", "show_message", "show_table", "check")
"""The functions whose calls a recipe does without, if they are in front of it."""

NO_NAMES: tuple[set[str], set[str]] = (set(), set())


def read_recipes() -> dict[str, tuple[str, str]]:
    """Read the title and the text of each recipe, by its anchor without ``recipe-``.

    Examples
    --------
    >>> title, text = read_recipes()["guard-refuses"]
    >>> title
    'Remove a guard that rejects a valid shape'
    >>> "**Fix.**" in text
    True
    """
    recipes = {}
    for page in (*PAGES, *CAUSE_PAGES):
        file = IN_CHECKOUT / f"{page}.py"
        if not file.exists():
            file = IN_WHEEL / f"{page}.txt"
        before, *parts = ANCHOR.split(HARNESS.sub("", file.read_text(encoding="utf-8")))
        for anchor, title, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            recipe, *_ = HEADING.split(body)  # the last one is followed by other sections
            heading = f"# %%\n# {title}\n# {'-' * len(title)}\n"
            recipes[anchor] = (title, _text(heading + recipe, needed=_needed(before, recipe)))
            before += body
    return recipes


def _needed(before: str, recipe: str) -> str:
    """Collect the imports and the definitions of a page that the code of a recipe needs."""
    _, needed = global_names(ast.parse(recipe).body)
    parts: list[str] = []
    page = ast.parse(before).body
    together = [global_names([statement])[0] for statement in page]
    for statement in reversed(page):
        source = "\n".join(before.splitlines()[statement.lineno - 1 : statement.end_lineno])
        binds, reads = global_names([statement])
        if isinstance(statement, ast.Import | ast.ImportFrom):
            names = [one for one in statement.names if (one.asname or one.name) in needed]
            statement.names = names or statement.names
            source = ast.unparse(statement)
        if binds & needed or _is_effect_on(statement, needed, together):
            parts.insert(0, source)
            needed = (needed - binds) | reads
    return "\n".join(parts)


def global_names(statements: Iterable[ast.stmt]) -> tuple[set[str], set[str]]:
    """List the global names that some statements bind, and those that they read before that.

    Examples
    --------
    >>> binds, reads = global_names(ast.parse("import torch; x = torch.zeros(n)").body)
    >>> sorted(binds), sorted(reads)
    (['torch', 'x'], ['n'])
    """
    binds: set[str] = set()
    reads: set[str] = set()
    for statement in statements:
        inner: list[ast.stmt] = []
        if isinstance(statement, ast.For | ast.With):
            inner, statement.body = statement.body, [ast.Pass()]
        for more_binds, more_reads in (
            _names_of(statement),
            global_names(inner) if inner else NO_NAMES,
        ):
            reads |= more_reads - binds
            binds |= more_binds
        if isinstance(statement, ast.For | ast.With):
            statement.body = inner
    return binds, reads


def _names_of(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """List the global names that a statement binds and reads, those in functions too."""
    top = symtable.symtable(ast.unparse(statement), "recipe", "exec")
    binds = {one.get_name() for one in top.get_symbols() if one.is_assigned() or one.is_imported()}
    of_header = binds if isinstance(statement, ast.For | ast.With) else set()
    reads: set[str] = set()
    tables = [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        reads |= {
            one.get_name()
            for one in table.get_symbols()
            if one.is_referenced() and (table is top or one.is_global())
        }
    return binds, reads - of_header


def _is_effect_on(statement: ast.stmt, needed: set[str], together: Sequence[set[str]]) -> bool:
    """Say whether a statement only calls something on needed names, or on those bound with them."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return False
    call = statement.value
    names = {
        one.id
        for part in [*call.args, *call.keywords]
        for one in ast.walk(part)
        if isinstance(one, ast.Name)
    }
    function = ast.unparse(call.func)
    owner, _, name = function.rpartition(".")
    if function.startswith("register"):  # a cache, for every model that is built like this one
        return any(bound & names and bound & needed for bound in together)
    return name not in SHOWING and names <= needed and bool(names or owner in needed)


def _text(script: str, *, needed: str) -> str:
    """Write prose without markup and code indented, the first of it behind what it needs."""
    blocks = []
    for number, block in enumerate(TEXT_CELL.split(script)):
        if number % 2:
            prose = re.sub(r"^# ?", "", block, flags=re.MULTILINE)
            prose = LINK.sub(r"\1 (\2)", ROLE.sub(_shown, prose)).replace("``", "`")
            blocks += [_wrapped(paragraph) for paragraph in prose.strip().split("\n\n")]
        elif code := block.removesuffix("# %%\n").strip("\n"):
            both = f"{needed}\n\n{code}" if needed else code
            blocks.append(textwrap.indent(both, "    "))
            needed = ""
    return "\n\n".join(blocks)


def _wrapped(paragraph: str) -> str:
    """Fill the lines of a paragraph; headings stay as they are."""
    if UNDERLINE.search(paragraph):
        return paragraph
    return textwrap.fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)


def _shown(role: re.Match[str]) -> str:
    """Write what the site shows of a reference: its text, or the end of a name after a tilde."""
    content = " ".join(role[1].split())
    if text := re.fullmatch(r"(.+?) <.+>", content):
        return text[1]
    return content.rpartition(".")[2] if content.startswith("~") else content
