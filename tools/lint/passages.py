"""The prose of a file, as passages with their lines: titles, text, docstrings and messages."""

import ast
import dataclasses
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CODE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""The character that fills code, addresses and names, so that no rule matches across them."""

UNDERLINE = re.compile(r"([=\-~^*#])\1{2,}\s*")
DIRECTIVE = re.compile(r"\s*\.\. \S")
WITH_PROSE = re.compile(r"\s*\.\. (?:list-table|grid|grid-item-card|note|seealso|tip|warning)::")
OPTION = re.compile(r"\s*:[\w-]+:(?:\s|$)")
MARKUP = re.compile(
    r"``.+?``"
    r"|:[\w:.-]+:`[^`<]*<[^`]*>`(?<=>`)"
    r"|`[^`<]*<[^`]*>`__?"
    r"|:[\w:.-]+:`[^`]*`"
    r"|`[^`]+`"
    r"|\]\([^)]*\)"
    r"|https?://\S+"
    r"|<[^<>]*>",
    re.DOTALL,
)
LINK_TEXT = re.compile(r"`(?P<text>[^`<]+)<[^`]*>`(?P<end>_{0,2})")
NOT_PROSE = re.compile(r"\\[nt]|\\(?=\n)|\{\{|\}\}")
TEMPLATE = re.compile(
    r"\{[{%#].*?[}%#]\}|<(script|style)\b.*?</\1>|(?<==)\"[^\"]*\"", re.DOTALL | re.IGNORECASE
)
ELEMENT = re.compile(
    r"(</?(?:p|li|[uo]l|t[dhr]|table|h\d|summary|details|caption|div|section|option|label)\b[^>]*>)"
)
QUOTED = re.compile(r"(\w*)('''|\"\"\"|'|\")(.*)\2", re.DOTALL)
WORDS = re.compile(r"[A-Za-z]+,? [a-z]{2,}")
PATTERN = re.compile(r"\\[bwds(]|\(\?|=>")
"""A sign of a regular expression or of a script, which are no messages."""

FIELD = re.compile(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", re.DOTALL)


@dataclass(frozen=True)
class Passage:
    """A piece of prose.

    Parameters
    ----------
    kind
        ``title``, ``text``, ``summary`` (the first paragraph of a docstring), ``docstring`` (its
        others) or ``message``.
    line
        The file's line on which it begins.
    text
        The prose, line by line as in the file, with code and addresses blanked.
    """

    kind: str
    line: int
    text: str


def passages(file: Path) -> list[Passage]:
    """Read the prose of a file by its suffix: ``.py``, ``.md``, ``.rst`` or ``.html``.

    Parameters
    ----------
    file
        The file.
    """
    text = file.read_text(encoding="utf-8")
    readers = {".py": in_python, ".md": in_markdown, ".rst": in_rst, ".html": in_html}
    return list(readers[file.suffix](text))


def blank(text: str) -> str:
    """Fill a piece of a file, except its line breaks."""
    return re.sub(r"[^\n]", CODE, text)


def without_markup(text: str) -> str:
    """Blank code and addresses, and leave the texts of links.

    Parameters
    ----------
    text
        A piece of prose.

    Examples
    --------
    >>> without_markup("Call ``f``, as :doc:`the page <page>` says.").replace(CODE, "-")
    'Call -----, as ------the page ------- says.'
    """

    def fill(found: re.Match[str]) -> str:
        link = LINK_TEXT.search(found.group())
        if link is None:
            return blank(found.group())
        before, after = found.group()[: link.start("text")], found.group()[link.end("text") :]
        return blank(before) + link["text"] + blank(after)

    return MARKUP.sub(fill, text)


def in_rst(text: str, first: int = 1, kind: str = "text") -> Iterator[Passage]:
    r"""Find the titles and paragraphs of reStructuredText.

    Parameters
    ----------
    text
        The document.
    first
        The line of the file on which it begins.
    kind
        The kind of everything except titles.

    Examples
    --------
    >>> [one.kind for one in in_rst("Title\n=====\n\nText::\n\n    code\n\nMore.")]
    ['title', 'text', 'text']
    """
    block: list[str] = []
    for number, line in enumerate([*without_code(text.split("\n")), ""], start=first):
        underlined = bool(block) and UNDERLINE.fullmatch(line.strip()) is not None
        if line.strip() and not underlined:
            block.append(line)
        elif block:
            prose = without_markup("\n".join(block))
            yield Passage("title" if underlined else kind, number - len(block), prose)
            block = []


def without_code(lines: list[str]) -> Iterator[str]:
    """Empty the lines of literal blocks, doctests, directives and options."""
    literal: int | None = None  # the indentation that a literal block exceeds
    doctest = False
    for line in lines:
        indentation = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indentation <= literal:
            literal = None
        doctest = bool(line.strip()) and (doctest or line.lstrip().startswith(">>>"))
        directive = DIRECTIVE.match(line) is not None
        is_code = literal is not None or doctest or directive or OPTION.match(line)
        yield "" if is_code else line
        begins = (directive or line.rstrip().endswith("::")) and not WITH_PROSE.match(line)
        if literal is None and begins:
            literal = indentation


def in_markdown(text: str) -> Iterator[Passage]:
    r"""Find the titles and paragraphs of Markdown, whose code is indented or fenced.

    Parameters
    ----------
    text
        The document.

    Examples
    --------
    >>> [one.line for one in in_markdown("# Title\n\nText.\n\n    code\n\nMore.")]
    [1, 3, 7]
    """
    fenced = re.compile(r"^( *)```.*?^\1```$", re.DOTALL | re.MULTILINE)
    indented = re.compile(r"(?<=\n\n)(?: {4}[^\n]*\n?|\n)+")
    text = fenced.sub(lambda code: re.sub(r"[^\n]", "", code.group()), text)
    text = indented.sub(lambda code: re.sub(r"[^\n]", "", code.group()), text)
    line = 1
    for block in re.split(r"(\n\s*\n)", text):
        if block.strip():
            kind = "title" if block.startswith("#") else "text"
            yield Passage(kind, line, without_markup(block))
        line += block.count("\n")


def in_html(text: str) -> Iterator[Passage]:
    r"""Find the texts of the elements of a template.

    Parameters
    ----------
    text
        The template.

    Examples
    --------
    >>> [one.line for one in in_html("<p>A long text.</p>\n<p>{{ value }}</p>")]
    [1]
    """
    text = TEMPLATE.sub(lambda code: blank(code.group()), text)
    line = 1
    for element in re.split(ELEMENT, text):
        prose = without_markup(element.strip())
        if WORDS.search(prose.replace(CODE, "")):
            before = len(element) - len(element.lstrip())
            yield Passage("text", line + element.count("\n", 0, before), prose)
        line += element.count("\n")


def in_python(text: str) -> Iterator[Passage]:
    r"""Find docstrings, texts of messages and, on a page, the cells of text.

    A message is any other string with words in a row. Strings that Python joins are one message.

    Parameters
    ----------
    text
        The script.

    Examples
    --------
    >>> found = in_python('"A docstring."\n# %%\n# A cell.\nprint("A " "message.")')
    >>> [(one.kind, one.line) for one in found]
    [('summary', 1), ('message', 4), ('text', 3)]
    """
    documented = set(docstring_lines(text))
    for start, source in strings(text):
        line = text.count("\n", 0, start) + 1
        if line in documented:
            first, *others = in_rst(source, line, "docstring")
            is_page = first.kind == "title"
            yield first if is_page else dataclasses.replace(first, kind="summary")
            yield from others
        elif WORDS.search(source) and not PATTERN.search(source):
            yield from in_rst(source, line, "message")
    yield from cells(text)


def docstring_lines(text: str) -> Iterator[int]:
    """List the lines on which docstrings begin, those of constants included."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.lineno


def strings(text: str) -> Iterator[tuple[int, str]]:
    """Give the place and the text of each string, joined with those that follow at once."""
    offsets = [0]
    for line in text.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    skipped = {tokenize.NL, tokenize.COMMENT}
    run: list[tuple[int, int]] = []
    for token in in_one(tokenize.generate_tokens(io.StringIO(text).readline)):
        start = offsets[token.start[0] - 1] + token.start[1]
        end = offsets[token.end[0] - 1] + token.end[1]
        if token.type == tokenize.STRING:
            run.append((start, end))
        elif token.type not in skipped and run:
            yield run[0][0], joined(text, run)
            run = []


def in_one(tokens: Iterable[tokenize.TokenInfo]) -> Iterator[tokenize.TokenInfo]:
    """Join the tokens of an f-string, which Python splits from 3.12 on."""
    opening, closing = getattr(tokenize, "FSTRING_START", -1), getattr(tokenize, "FSTRING_END", -1)
    open_ones: list[tokenize.TokenInfo] = []
    for token in tokens:
        if token.type == opening:
            open_ones.append(token)
        elif token.type == closing:
            first = open_ones.pop()
            if not open_ones:
                yield token._replace(type=tokenize.STRING, start=first.start)
        elif not open_ones:
            yield token


def joined(text: str, run: list[tuple[int, int]]) -> str:
    """Join adjacent strings, without quotes and prefixes."""
    pieces = []
    for number, (start, end) in enumerate(run):
        between = text[run[number - 1][1] : start] if number else ""
        prefix, _, body = QUOTED.sub(r"\1\0\2\0\3", text[start:end]).split("\0")
        if "f" in prefix.lower():
            body = FIELD.sub(lambda field: blank(field.group()), body)
        body = NOT_PROSE.sub(lambda escape: " " * len(escape.group()), body)
        pieces += [re.sub(r"[^\n]", "", between), body]
    return "".join(pieces)


def cells(text: str) -> Iterator[Passage]:
    """Find the cells of text of a page, which are comments after ``# %%``."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        number += 1
        if not re.match(r"# %%|#{20,}", lines[number - 1]):
            continue
        first = number
        while number < len(lines) and lines[number].startswith("#"):
            number += 1
        cell = [line.removeprefix("#").removeprefix(" ") for line in lines[first:number]]
        yield from in_rst("\n".join(cell), first + 1)
