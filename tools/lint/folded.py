"""Cells that a page folds away: code that draws, answers of exercises, guards of the harness.

Such a cell begins with a comment: a mark, a colon, and what the cell is about, on as many lines as
it takes. The mark means nothing to Python, and reads as a comment in the script and the notebook.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of folded cells.

    Parameters
    ----------
    mark
        The word that its first line begins with.
    summary
        The beginning of the line that readers see in its place.
    output
        Whether the output is folded, too.
    """

    mark: str
    summary: str
    output: bool


DRAWING = Kind("Drawing", "Code of the figure", output=False)
ANSWER = Kind("Answer", "Answer", output=True)
GUARD = Kind("Guard", "A check of the measurement itself", output=True)
KINDS = (DRAWING, ANSWER, GUARD)

SENTENCE_END = re.compile(r"[.:](?:\s|$)")
BEGINNING = re.compile(
    rf"\s*# (?P<mark>{'|'.join(kind.mark for kind in KINDS)}):(?P<first>.*)\n(?P<rest>(?:#.*\n)*)"
)


def kind_of(code: str) -> Kind | None:
    r"""Tell which kind of folded cell this is; None for a cell that readers see.

    Examples
    --------
    >>> kind_of("# Answer: with two layers\nprint(1)").summary
    'Answer'
    >>> kind_of("print(1)") is None
    True
    """
    found = BEGINNING.match(f"{code}\n")
    return found and next(kind for kind in KINDS if kind.mark == found["mark"])


def summary_of(code: str) -> str:
    r"""Write the line that readers see in place of a folded cell; empty for another cell.

    For a guard it says against what the guard is. A figure or an answer is next to its text.

    Examples
    --------
    >>> summary_of("# Guard: against a tolerance that is too wide. It is small.\nassert True")
    'A check of the measurement itself: against a tolerance that is too wide'
    >>> summary_of("# Answer: with two layers\nprint(1)")
    'Answer'
    """
    kind = kind_of(code)
    if kind is not GUARD:
        return kind.summary if kind else ""
    return f"{kind.summary}: {SENTENCE_END.split(description_of(code))[0]}"


def description_of(code: str) -> str:
    r"""Read what a folded cell is about.

    Examples
    --------
    >>> description_of("# Drawing: bars that fall\n# from left to right\nplt.show()")
    'bars that fall from left to right'
    """
    found = BEGINNING.match(f"{code}\n")
    if found is None:
        return ""
    lines = [found["first"], *found["rest"].splitlines()]
    return " ".join(line.removeprefix("#").strip() for line in lines).strip()
