"""The embedded text: the reference of the Python language, cleaned and split."""

import re
from collections.abc import Iterable, Iterator
from pydoc_data.topics import topics

from smallport.lstm import Corpus

TOKEN = re.compile(r"\w+|([^\w\s])\1*")
"""A word, or a run of one punctuation mark: ``>>>`` is one token."""

RULE = re.compile(r"[-=*~^+|]{3,}")
"""A line that underlines a heading or borders a table."""

TABLE_ROW = re.compile(r"\|.*\|")
CELL_BORDER = re.compile(r"(?<!\S)\|(?!\S)")

BLOCK = 20
"""The number of consecutive paragraphs that go into the same split."""


def reference_corpus() -> Corpus:
    """Read the reference that ``help()`` prints, and split it so that no split quotes another.

    Many topics repeat paragraphs of others, so each distinct paragraph is kept once. Of every ten
    blocks of consecutive paragraphs, one is for validation and one for testing. Splitting by topic
    would give parts of any size: a single topic can hold a tenth of the text, and which topics
    there are depends on the Python release.
    """
    lines: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    texts = (topics[name] for name in sorted(topics))
    for number, paragraph in enumerate(distinct_paragraphs(texts)):
        split = {2: "test", 7: "valid"}.get(number // BLOCK % 10, "train")
        lines[split].extend(paragraph)
    return Corpus.from_lines("the Python language reference", **lines)


def distinct_paragraphs(texts: Iterable[str]) -> list[tuple[str, ...]]:
    r"""Cut texts at their blank lines into tokenized paragraphs, and keep the first of equal ones.

    Examples
    --------
    >>> distinct_paragraphs(["Lists\n*****\n\nSee above.", "Tuples\n\nSee  above."])
    [('Lists',), ('See above .',), ('Tuples',)]
    """
    return list(dict.fromkeys(paragraph for text in texts for paragraph in _paragraphs(text)))


def _paragraphs(text: str) -> Iterator[tuple[str, ...]]:
    for paragraph in re.split(r"\n\s*\n", text):
        tokenized = (tokenize(line) for line in paragraph.splitlines())
        if lines := tuple(line for line in tokenized if line):
            yield lines


def tokenize(line: str) -> str:
    """Set spaces between the tokens of a line, and drop the rules and borders of tables.

    Examples
    --------
    >>> tokenize(">>> range(10)[-1]  # or range(10).stop - 1")
    '>>> range ( 10 ) [ - 1 ] # or range ( 10 ) . stop - 1'
    >>> tokenize('| "|"       | Bitwise OR    |')
    '" | " Bitwise OR'
    >>> tokenize("|===========|===============|")
    ''
    """
    line = line.strip()
    if RULE.fullmatch(line):
        return ""
    if TABLE_ROW.fullmatch(line):
        line = CELL_BORDER.sub(" ", line)
    return " ".join(match.group() for match in TOKEN.finditer(line))
