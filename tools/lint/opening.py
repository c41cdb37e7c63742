"""How a page opens: with a paragraph that says what one learns from it."""

import ast
import re

LEARNED = re.compile(r"^What you will learn: (?P<what>.+(?:\n.+)*)\n*", re.MULTILINE)


def learned(text: str) -> str:
    r"""Read what one learns from a page; empty where the page does not say.

    Parameters
    ----------
    text
        The page's script.

    Examples
    --------
    >>> learned("'Title. \\n\\nWhat you will learn: how a page opens.'")
    'how a page opens.'
    """
    found = LEARNED.search(ast.get_docstring(ast.parse(text)) or "")
    return " ".join(found["what"].split()) if found else ""
