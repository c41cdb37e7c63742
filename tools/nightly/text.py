"""Texts of issues, in which nothing that a package wrote is taken for markup."""

import re

LONGEST = 60_000
"""Bytes of an issue's text; the service takes 65,536 characters."""

LONGEST_BLOCK = 2_000
LONGEST_CODE = 200
UNSEEN = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # escape sequences of terminals
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    r"|[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"  # turn text around, or no text
)


def block(text: str, longest: int = LONGEST_BLOCK) -> str:
    """Write lines as a fenced block of code.

    The fence is longer than any run of backticks inside. In a block, ``@name`` and ``#1`` are text.

    Examples
    --------
    >>> print(block("KeyError: 'a'"))
    ```
    KeyError: 'a'
    ```
    """
    text = UNSEEN.sub("", text.replace("\r\n", "\n")).strip("\n") or "(nothing)"
    if len(text) > longest:
        text = f"{text[:longest]}\n… {len(text) - longest} characters are left out"
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}\n{text}\n{fence}"


def code(text: str) -> str:
    """Write a few words as code in a line.

    Examples
    --------
    >>> code("torch")
    '`torch`'
    >>> code("a `b` c")
    '`` a `b` c ``'
    """
    text = " ".join(UNSEEN.sub("", text).split()) or "(nothing)"
    if len(text) > LONGEST_CODE:
        text = f"{text[:LONGEST_CODE]}…"
    run = _longest_run(text)
    ticks, space = "`" * (run + 1), " " if run else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def joined(paragraphs: list[str], rest: str) -> str:
    """Join paragraphs; put ``rest`` in place of those for which there is no room."""
    size = len(rest.encode())
    for number, paragraph in enumerate(paragraphs):
        size += len(paragraph.encode()) + 2
        if size > LONGEST:
            return "\n\n".join([*paragraphs[:number], rest])
    return "\n\n".join(paragraphs)


def _longest_run(text: str) -> int:
    """Count the backticks of the longest run of them."""
    return max(map(len, re.findall("`+", text)), default=0)
