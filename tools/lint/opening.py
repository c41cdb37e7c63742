"""The beginning and the end of a page: result and prerequisites, exercises and conclusion."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.gallery.project import Finding, finding
from tools.lint import folded
from tools.lint.drawing import Cell

MARKS = {
    "result": "Result",
    "prerequisites": "Prerequisites",
    "learned": "What you will learn",
}
"""The paragraphs of the docstring that the card shows, and how each begins."""

PARAGRAPH = re.compile(
    rf"^(?P<mark>{'|'.join(MARKS.values())}): (?P<text>.+(?:\n.+)*)\n*", re.MULTILINE
)
ENDS = ("Exercises", "Conclusion")
"""The sections that each page has at its end."""

WORDS_A_MINUTE = 200
LINES_A_MINUTE = 25
"""The amount of prose and code that a reader takes in."""


@dataclass(frozen=True)
class Opening:
    """The paragraphs of a page's docstring that the card shows; empty where there is none.

    Parameters
    ----------
    result
        The result of the page.
    prerequisites
        The knowledge and the packages that a reader needs.
    learned
        The skills that a reader learns.
    """

    result: str = ""
    prerequisites: str = ""
    learned: str = ""


def opening_of(text: str) -> Opening:
    r"""Read the opening of a page.

    Parameters
    ----------
    text
        The page's script.

    Examples
    --------
    >>> opening_of("'Title. \\n\\nWhat you will learn: how a page opens.'").learned
    'how a page opens.'
    """
    names = {mark: name for name, mark in MARKS.items()}
    docstring = ast.get_docstring(ast.parse(text)) or ""
    return Opening(
        **{
            names[found["mark"]]: " ".join(found["text"].split())
            for found in PARAGRAPH.finditer(docstring)
        }
    )


def reading_minutes(cells: Sequence[Cell]) -> int:
    """Estimate the minutes that it takes to read a page, folded cells left out.

    Parameters
    ----------
    cells
        The cells of the page.
    """
    words = sum(len(line.split()) for cell in cells if cell.kind == "text" for line in cell.lines)
    lines = sum(
        len(cell.lines)
        for cell in cells
        if cell.kind == "code" and folded.kind_of("\n".join(cell.lines)) is None
    )
    return max(1, round(words / WORDS_A_MINUTE + lines / LINES_A_MINUTE))


def findings(script: Path, text: str, cells: Sequence[Cell]) -> Iterator[Finding]:
    """Find what is missing at the beginning and at the end of a page."""
    opening = opening_of(text)
    for name, mark in MARKS.items():
        if not getattr(opening, name):
            message = f"its docstring has no paragraph that begins with '{mark}: ': add one"
            yield finding(script, None, "opening", message)
    headings = _headings(cells)
    for name in ENDS:
        if name not in headings:
            message = f"has no section {name!r}: add one at its end"
            yield finding(script, None, "ending", message)
    answers = [
        cell
        for cell in cells
        if cell.kind == "code" and folded.kind_of("\n".join(cell.lines)) is folded.ANSWER
    ]
    if "Exercises" in headings and not any(cell.line > headings["Exercises"] for cell in answers):
        message = "its exercises have no answer: add a cell that begins with '# Answer: '"
        yield finding(script, headings["Exercises"], "ending", message)


def _headings(cells: Sequence[Cell]) -> dict[str, int]:
    """Find the headings of a page, with the line of each."""
    return {
        line.strip("# ").strip(): cell.line + number
        for cell in cells
        if cell.kind == "text"
        for number, (line, below) in enumerate(zip(cell.lines, cell.lines[1:], strict=False))
        if re.fullmatch(r"([=~^*-])\1{2,}", below.strip("# ").strip())
    }
