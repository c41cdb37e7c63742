"""The rules on pages that need no run: ``python -m tools.lint.pages``.

Nothing is imported but the standard library and Sphinx-Gallery's parser, so the answer takes about
a second. The docs build applies the same rules before it executes any page.

A comment ``# lint: allow RULE: REASON`` lifts a rule in its cell; the results
page lists it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sphinx_gallery.py_source_parser import split_code_and_text_blocks

from tools.gallery import project
from tools.gallery.project import Finding, finding
from tools.history import lines as history
from tools.lint import claims, drawing, handlers, opening

HEADER = "GALLERY_HEADER.rst"
BESIDE_PAGES = {HEADER, "ruff.toml"}
"""The files below ``examples/`` that are no pages."""

LONGEST_CELL = 40
LEAST_WORDS = 100
CELL_RULES = (
    "cell-length",
    "conditional",
    "drawing",
    "exit",
    "filter",
    "finally",
    "handler",
    "suppress",
    "table",
)
"""The rules that can be lifted for a cell."""

MEASURES = re.compile(rf"^[^#\n]*\b({project.CLOCKS.pattern})\(", re.MULTILINE)
"""Calls with which a page measures time."""

ALLOWED = re.compile(r"# lint: allow (?P<rule>[\w-]*)(?::[ \t]*(?P<reason>.*))?")
COMMENT = re.compile(r"# lint: (?!allow |conditional:)(?P<word>\S*)")

UNITS = (
    r"ms|µs|s|sec|seconds?|minutes?|hours?|[kKMG]i?B|megabytes?|gigabytes?|×|x|times|%|percent|nats"
)
FIGURE = re.compile(rf"(?<![\w.])\d[\d.,]*(?:\s|-)?(?:{UNITS})(?!\w)")
CITED = re.compile(r":published:`[^`]*`|``[^`]*``|^(?: {3,}|   \$).*$", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """A cell of a page.

    Parameters
    ----------
    kind
        ``text`` or ``code``.
    line
        The first line of it that holds something.
    lines
        Its lines.
    """

    kind: str
    line: int
    lines: tuple[str, ...]

    def holds(self, line: int | None) -> bool:
        """Whether a line of the page is one of its own."""
        return line is not None and self.line <= line < self.line + len(self.lines)


@dataclass(frozen=True)
class Lifted:
    """A rule that a page lifts, with its reason.

    Parameters
    ----------
    script
        The page.
    line
        Where it does.
    rule
        The rule's name.
    reason
        Why.
    """

    script: Path
    line: int
    rule: str
    reason: str


def findings() -> list[Finding]:
    """Apply every rule to every page, every text and the history."""
    found = [*file_names(), *folders(), *history.findings()]
    for script in project.scripts():
        found += on_page(script)
    texts = [*project.DOCS.glob("*.rst"), *project.EXAMPLES.rglob(HEADER)]
    for file in sorted(texts):
        found += figures(file, 1, file.read_text(encoding="utf-8"))
    return sorted(found, key=lambda one: (one.place, one.line or 0))


def file_names() -> Iterator[Finding]:
    """Find names that break links or two pages share, and files that are no pages."""
    stems: dict[str, Path] = {}
    for path in sorted(project.EXAMPLES.rglob("*")):
        inside = path.relative_to(project.EXAMPLES).parts
        if "__pycache__" in inside or any(part.startswith(".") for part in inside):
            continue
        if path.is_symlink():
            yield finding(path, None, "symlink", "is a symbolic link: put the real one there")
        elif re.search(r"\s", path.name):
            yield finding(path, None, "file-name", "has a space in its name: write _ instead")
        elif path.is_dir():
            continue
        elif path.suffix == ".py":
            if other := stems.get(path.stem.lower()):
                message = f"has the name of {project.name_of(other)}: rename one of them"
                yield finding(path, None, "file-name", message)
            stems.setdefault(path.stem.lower(), path)
        elif path.name not in BESIDE_PAGES:
            message = "is no page, and nothing would show it: pages end in .py"
            yield finding(path, None, "no-page", message)


def folders() -> Iterator[Finding]:
    """Find folders of pages that the gallery passes over in silence."""
    for folder in sorted({script.parent for script in project.scripts()}):
        if not (folder / HEADER).exists():
            message = f"has no {HEADER}, so its pages are ignored: write one"
            yield finding(folder, None, "header", message)
        if len(folder.relative_to(project.EXAMPLES).parts) > 1:
            message = "lies in another folder of pages, where the gallery ignores it: move it up"
            yield finding(folder, None, "header", message)


def on_page(script: Path) -> list[Finding]:
    """Apply every rule on its text to a page."""
    text = script.read_text(encoding="utf-8")
    try:
        compile(text, str(script), "exec", dont_inherit=True)
        cells = cells_of(script)
    except SyntaxError as error:
        return [finding(script, error.lineno, "syntax", f"SyntaxError: {error.msg}: fix it")]
    except Exception as error:  # noqa: BLE001 - Sphinx's ExtensionError, not worth importing Sphinx for
        return [finding(script, None, "docstring", f"cannot be read as a page: {error}")]
    by_cell = [
        *handlers.careless(script, text),
        *claims.conditional(script, text),
        *long_cells(script, cells),
        *tables_lost(script, cells),
        *drawing.findings(script, cells),
    ]
    comments = list(lifted(script))
    allowed = {
        (cell, comment.rule) for comment in comments for cell in cells if cell.holds(comment.line)
    }
    kept = [
        one
        for one in by_cell
        if not any(rule == one.rule and cell.holds(one.line) for cell, rule in allowed)
    ]
    prose = [cell for cell in cells if cell.kind == "text"]
    kept += [
        *too_little_prose(script, prose),
        *opening.findings(script, text, cells),
        *time_undeclared(script, text),
        *bad_comments(script, text),
    ]
    for cell in prose:
        kept += figures(script, cell.line, "\n".join(cell.lines))
    return kept


def cells_of(script: Path) -> list[Cell]:
    """Split a page into its cells, without the blank lines around each."""
    cells = []
    for kind, content, line in split_code_and_text_blocks(str(script))[1]:
        lines = content.splitlines()
        while lines and not lines[-1].strip():
            lines.pop()
        blank = next((number for number, text in enumerate(lines) if text.strip()), 0)
        cells.append(Cell(kind, line + blank, tuple(lines[blank:])))
    return cells


def lifted(script: Path) -> Iterator[Lifted]:
    """List the rules that a page lifts, and the claims that it makes under conditions."""
    for number, line in enumerate(script.read_text(encoding="utf-8").splitlines(), start=1):
        if found := ALLOWED.search(line):
            yield Lifted(script, number, found["rule"], (found["reason"] or "").strip())
        elif found := claims.CONDITIONAL.search(line):
            yield Lifted(script, number, "conditional", found["reason"].strip())


def bad_comments(script: Path, text: str) -> Iterator[Finding]:
    """Find comments that lift no rule there is, or give no reason."""
    for comment in lifted(script):
        if comment.rule not in CELL_RULES:
            message = f"{comment.rule!r} is no rule of a cell: there are {', '.join(CELL_RULES)}"
            yield finding(script, comment.line, "comment", message)
        elif not comment.reason:
            message = f"lifts {comment.rule} without a reason: give it after a colon"
            yield finding(script, comment.line, "comment", message)
    for number, line in enumerate(text.splitlines(), start=1):
        if found := COMMENT.search(line):
            message = f"'lint: {found['word']}' means nothing: write allow RULE: or conditional:"
            yield finding(script, number, "comment", message)


def too_little_prose(script: Path, prose: list[Cell]) -> Iterator[Finding]:
    """Find pages that explain nothing."""
    words = sum(len(line.split()) for cell in prose for line in cell.lines)
    if words < LEAST_WORDS:
        message = (
            f"has {words} words of prose, and a page needs at least {LEAST_WORDS}: say why before "
            "how"
        )
        yield finding(script, None, "prose", message)


def time_undeclared(script: Path, text: str) -> Iterator[Finding]:
    """Find a page that measures time and does not say so: it would never measure again."""
    found = MEASURES.search(text)
    if found and not project.measures_time(script):
        message = (
            f"calls {found[1]} and does not say that it measures time: add the comment "
            "'# sphinx_gallery_measures_time = True'"
        )
        yield finding(script, text[: found.start()].count("\n") + 1, "measures-time", message)


def long_cells(script: Path, cells: list[Cell]) -> Iterator[Finding]:
    """Find cells that show too much code at once."""
    for cell in cells:
        if cell.kind == "code" and len(cell.lines) > LONGEST_CELL:
            message = (
                f"this code cell has {len(cell.lines)} lines, and {LONGEST_CELL} are what a reader "
                "takes in at once: split it"
            )
            yield finding(script, cell.line, "cell-length", message)


def tables_lost(script: Path, cells: list[Cell]) -> Iterator[Finding]:
    """Find tables that nobody sees, since a cell shows what its last expression gives."""
    for cell in cells:
        if cell.kind == "code":
            for statement in ast.parse("\n".join(cell.lines)).body[:-1]:
                if isinstance(statement, ast.Expr) and "show_table(" in ast.unparse(statement):
                    message = "this table is not shown: show_table has to be the cell's last line"
                    yield finding(script, cell.line + statement.lineno - 1, "table", message)


def figures(file: Path, first: int, text: str) -> Iterator[Finding]:
    """Find numbers with a unit outside the role for cited figures, literals and indented code."""
    blanked = CITED.sub(lambda cited: re.sub(r"\S", " ", cited.group()), text)
    for found in FIGURE.finditer(blanked):
        line = first + blanked.count("\n", 0, found.start())
        message = (
            f"the prose states {found.group()!r}: mark a cited figure with :published:, and "
            "measure any other"
        )
        yield finding(file, line, "figure", message)


def main() -> int:
    """Print the findings; fail where there are any."""
    found = findings()
    for one in found:
        print(one)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
