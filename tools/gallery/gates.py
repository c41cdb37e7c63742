"""What a finished build has to show, whatever sphinx-build returned.

Each gate looks at what lies on disk: the scripts, the records of their runs, what the gallery made
of them, and the site. Each finding names the page, the line where there is one, and what to do.
"""

import ast
import re
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sphinx_gallery.py_source_parser import split_code_and_text_blocks

from smallport.assets.download import cache_folder
from tools.gallery import runs

GALLERY = runs.ROOT / "docs" / "gallery"
HEADER = "GALLERY_HEADER.rst"
LONGEST_CELL = 40
LEAST_WORDS = 100

SHOWN_AS = {".. code-block:: none", ".. code-block:: pytb"}
OUTPUT_TABLE = '    <div class="output_subarea'
LINES = re.compile(r"\.\. GENERATED FROM PYTHON SOURCE LINES (\d+)-(\d+)")

FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc="(?P<address>(?:https?:)?//[^"]+)"
    |<link\b(?=[^>]*\brel="(?:stylesheet|preload|icon)")[^>]*\bhref="(?P<sheet>(?:https?:)?//[^"]+)"
    """,
    re.VERBOSE,
)
TRACEBACK = re.compile(r"^[\s|+]*(?:Exception Group )?Traceback \(most recent call last\)")
LOG_LINES = [
    r"\[?(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b[\]: ]",
    r"(?:\[rank\d+\]:)?[DIWEF]\d{4} \d\d:\d\d:\d\d",  # PyTorch's own
    r"\[(?:torch|transformers)[.\]\w]*\] ",
    r".*\[[IWEF]:onnxruntime",
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[,. ]",
]
JUNK = {
    "a formatted warning": re.compile(r":\d+: \w*Warning\b|^\w+Warning: "),
    "a log line": re.compile(rf"^(?:{'|'.join(LOG_LINES)})"),
    "an escape code": re.compile(r"\x1b"),
    "a progress bar": re.compile(r"\d+%\|.*\|"),
    "a carriage return": re.compile(r"\r"),
    "a memory address": re.compile(r"\bat 0x[0-9a-f]{6,}\b|\b0x[0-9a-f]{9,}\b", re.IGNORECASE),
    "a traceback": TRACEBACK,
}
"""What means nothing to the reader of a page, and how to tell it. Paths are told otherwise."""


@cache
def machine_path() -> re.Pattern[str]:
    """Tell a path of this machine, or of one like it."""
    machine = (runs.ROOT, Path.home(), sys.prefix, tempfile.gettempdir(), cache_folder())
    folders = "|".join(re.escape(str(folder)) for folder in machine if str(folder) != "/")
    paths = [
        rf"(?<![\w/.])(?:{folders})(?![\w-])",
        r"(?<![\w/.])/(?:home|root|tmp|usr|var|opt|Users|private|mnt|srv)/\S",
        r"\b[A-Z]:\\+Users",
        r"\bfile://",
        r"\bsite-packages\b",
    ]
    return re.compile("|".join(paths))


def junk_in(text: str) -> str | None:
    """Say what a line of output holds that means nothing to a reader, if it does."""
    for what, pattern in JUNK.items():
        if pattern.search(text):
            return what
    return "a path of the machine" if machine_path().search(text) else None


def findings(site: Path) -> list[str]:
    """Apply every gate to a build."""
    now = runs.current_environment()
    if now is None:
        reason = runs.STOPPED.read_text("utf-8") if runs.STOPPED.exists() else "see above"
        return [f"the build stopped before it looked at any page: {reason}"]
    scripts = list(runs.scripts())
    found = [*missing_headers(), *unexecuted(scripts, now.fingerprint)]
    for script in scripts:
        found += [*exception_handlers(script), *prose_and_cells(script)]
        if (run := runs.read(script)) and run.passed:
            found += [*unchecked(script), *left_behind(script, run), *junk_in_output(script)]
    return [*found, *unwritten(scripts, site), *foreign_requests(site)]


def named(script: Path, line: int | None = None) -> str:
    """Name a page, and a line in it."""
    name = script.relative_to(runs.ROOT).as_posix()
    return name if line is None else f"{name}:{line}"


def named_cell(script: Path, line: int) -> str:
    """Name a cell by its first line that holds something."""
    lines = script.read_text(encoding="utf-8").splitlines()
    while line < len(lines) and not lines[line - 1].strip():
        line += 1
    return named(script, line)


def rendered(script: Path) -> Path:
    """Name what the gallery made of a page."""
    return GALLERY / script.relative_to(runs.EXAMPLES).with_suffix(".rst")


def missing_headers() -> Iterator[str]:
    """Find folders of examples that the gallery passes over in silence."""
    for folder in sorted({script.parent for script in runs.scripts()}):
        if not (folder / HEADER).exists():
            yield f"{named(folder)} has no {HEADER}, so its pages are ignored: write one"


def unexecuted(scripts: list[Path], fingerprint: str) -> Iterator[str]:
    """Find pages that did not run to their end, or whose last run no longer stands."""
    for script in scripts:
        run = runs.read(script)
        if run is None:
            yield (
                f"{named(script)} was never executed: it must match filename_pattern in conf.py, "
                "in a folder that the gallery takes in"
            )
        elif run.seconds is None:
            yield (
                f"{named(script)} began and never came to its end: does it call sys.exit, or was "
                "the build interrupted? Build again, and let no page end the process"
            )
        elif not run.passed:
            yield failure(script)
        elif run.script != runs.checksum(script):
            yield f"{named(script)} changed and was not executed again: build again"
        elif run.environment.fingerprint != fingerprint:
            yield (
                f"{named(script)} was carried over from a run with other versions, another corpus "
                "or another package: build with --fresh"
            )


def failure(script: Path) -> str:
    """Say where and how a page failed, from the traceback that stands under its cell."""
    shown = [line for _, line in outputs(rendered(script))]
    starts = [number for number, line in enumerate(shown) if TRACEBACK.search(line)]
    lines = shown[starts[-1] + 1 :] if starts else []
    own = re.compile(rf'File ".*{re.escape(script.name)}", line (\d+)')
    places = [int(found[1]) for line in lines if (found := own.search(line))]
    message = next((line for line in lines if not line.startswith(" ")), "see above")
    return f"{named(script, places[-1] if places else None)} failed: {message}"


def left_behind(script: Path, run: runs.Run) -> Iterator[str]:
    """Find what a page wrote into the folder that it ran in."""
    if run.left:
        yield (
            f"{named(script)} left files in the folder it ran in: {', '.join(run.left)}. Delete "
            "them, and let it write into a temporary folder"
        )


def unwritten(scripts: list[Path], site: Path) -> Iterator[str]:
    """Find pages that are not in the site."""
    for script in scripts:
        page = site / "gallery" / script.relative_to(runs.EXAMPLES).with_suffix(".html")
        if not page.exists():
            yield f"{named(script)} has no page in the site: sphinx-build stopped before writing it"


def foreign_requests(site: Path) -> Iterator[str]:
    """Find what a browser would fetch from another host when somebody reads the site."""
    for page in sorted(site.rglob("*.html")):
        for tag in FETCHED.finditer(page.read_text(encoding="utf-8")):
            address = tag["address"] or tag["sheet"]
            where = page.relative_to(site)
            yield f"{where} asks another host for {address}: serve it with the site"


def junk_in_output(script: Path) -> Iterator[str]:
    """Find in what a page printed the things that mean nothing to a reader."""
    for line, output in outputs(rendered(script)):
        if what := junk_in(output):
            yield (
                f"{named_cell(script, line)}: the output of this cell holds {what}: "
                f"{output.strip()!r}. Mend what prints it, or catch it and assert on it"
            )


def outputs(page: Path) -> Iterator[tuple[int, str]]:
    """Read the lines that each cell of a page printed, with the line where the cell begins."""
    if not page.exists():
        return
    content = page.read_bytes().decode("utf-8")
    line, inside = 1, False
    for text in content.split("\n"):
        if found := LINES.search(text):
            line, inside = int(found[1]), False
        elif text.startswith((".. rst-class:: sphx-glr-script-out", OUTPUT_TABLE)):
            inside = True
        elif inside and text.strip() and text.strip() not in SHOWN_AS:
            inside = text[0].isspace()  # a carriage return is, too
            if inside:
                yield line, text.removeprefix("    ")


def exception_handlers(script: Path) -> Iterator[str]:
    """Find handlers that catch everything, or that let an announced failure go unnoticed."""
    try:
        tree = ast.parse(script.read_text(encoding="utf-8"))
    except SyntaxError:
        return  # a page that failed
    asserts = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    for attempt in (node for node in ast.walk(tree) if isinstance(node, ast.Try | ast.TryStar)):
        for handler in attempt.handlers:
            place = named(script, handler.lineno)
            if names_in(handler.type) & {"Exception", "BaseException"} or handler.type is None:
                yield f"{place} catches everything: name the exception that the page announces"
                continue
            caught = names_in(*handler.body, assigned=True) | {handler.name}
            if not any(caught & names_in(claim) for claim in asserts):
                yield f"{place} catches a failure and asserts nothing on its message: assert on it"
            if not any(isinstance(node, ast.Raise) for node in attempt.orelse):
                yield (
                    f"{place} stays green when upstream mends the failure: raise an AssertionError "
                    "in an else branch"
                )
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if "suppress" in names_in(call.func):
            yield (
                f"{named(script, call.lineno)} suppresses a failure, whether it happens or not: "
                "catch it and assert on its message"
            )


def names_in(*trees: ast.AST | None, assigned: bool = False) -> set[str]:
    """Collect the names and attributes in some code, or only the names that it assigns."""
    nodes = [node for tree in trees if tree is not None for node in ast.walk(tree)]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    if assigned:
        return {name.id for name in names if isinstance(name.ctx, ast.Store)}
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {name.id for name in names}


def unchecked(script: Path) -> Iterator[str]:
    """Find pages that claim nothing about what they measure."""
    if not runs.checked(script):
        yield f"{named(script)} makes no checks: claim something with smallport.checks.check"


def prose_and_cells(script: Path) -> Iterator[str]:
    """Find pages that explain nothing, or show too much code at once."""
    _, blocks = split_code_and_text_blocks(str(script))
    words = sum(len(block.content.split()) for block in blocks if block.type == "text")
    if words < LEAST_WORDS:
        yield (
            f"{named(script)} has {words} words of prose, and a page needs at least {LEAST_WORDS}: "
            "say why before how"
        )
    for block in blocks:
        length = len(block.content.strip().splitlines())
        if block.type == "code" and length > LONGEST_CELL:
            yield (
                f"{named_cell(script, block.lineno)}: this code cell has {length} lines, and "
                f"{LONGEST_CELL} are what a reader takes in at once: split it"
            )
