"""Gates on a finished build, which apply even if sphinx-build succeeded.

Each gate looks at what lies on disk: the scripts, the records of their runs, what the gallery made
of them, and the site. Each finding names the page, the line where there is one, and what to do.
"""

import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import platformdirs

from smallport import files
from tools.downloads import notebook_rst
from tools.gallery import project, reached, runs
from tools.gallery import used as uses
from tools.gallery.project import Finding, finding
from tools.lint import claims

OURS = re.compile(
    r"[\w.-]*-[0-9a-f]{16}(\.\w+)*(-\w{8})?$|hub$|wikitext-2$"
    r"|word_language_model_quantize\.pth(\.sha256)?$"
)
"""Entries that smallport itself puts into its cache, under the key of their inputs or a pin.

While it writes something, its folder is named after that, with eight letters at the end.
"""

SHOWN_AS = {".. code-block:: none", ".. code-block:: pytb"}
OUTPUT_TABLE = '    <div class="output_subarea'
LINES = re.compile(r"\.\. GENERATED FROM PYTHON SOURCE LINES (\d+)-(\d+)")

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
"""Kinds of output that mean nothing to a reader, and their patterns, except paths."""


@cache
def machine_path() -> re.Pattern[str]:
    """Tell a path of this machine, or of one like it."""
    cache_folder = os.environ.get("SMALLPORT_CACHE_DIR") or platformdirs.user_cache_dir("smallport")
    machine = (project.ROOT, Path.home(), sys.prefix, tempfile.gettempdir(), cache_folder)
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


def findings(site: Path, changed_since: Callable[[Path], str]) -> list[Finding]:
    """Apply every gate to a build.

    Parameters
    ----------
    site
        The folder of the site.
    changed_since
        Says what has changed of all that a page's run used.
    """
    scripts = list(project.scripts())
    found = [*unexecuted(scripts, changed_since), *unmeasured(scripts)]
    for script in scripts:
        if run := runs.read(script):
            found += [*left_behind(script, run), *taken_over(script)]
            if run.passed:
                places = reached.read(runs.results_file(script))
                found += [*claims.unreached(script, places), *junk_in_output(script)]
    return [*found, *unwritten(scripts, site), *notebook_rst.findings(site)]


def first_line(script: Path, line: int) -> int:
    """Find the first line of a cell that holds something."""
    lines = script.read_text(encoding="utf-8").splitlines()
    while line < len(lines) and not lines[line - 1].strip():
        line += 1
    return line


def page_in(site: Path, script: Path) -> Path:
    """Name the page of a script in a site."""
    return site / "gallery" / script.relative_to(project.EXAMPLES).with_suffix(".html")


def unexecuted(scripts: list[Path], changed_since: Callable[[Path], str]) -> Iterator[Finding]:
    """Find pages that did not run to their end, or whose last run no longer stands."""
    for script in scripts:
        run = runs.read(script)
        if run is None:
            message = "there is no record of a run that can be believed: build again"
            yield finding(script, None, "run", message)
        elif run.failure:
            yield finding(script, run.line, "run", run.failure)
        elif run.script != files.sha256(script):
            message = "changed and was not executed again: build again"
            yield finding(script, None, "run", message)
        elif changes := changed_since(script):
            message = f"was not executed again, although {changes}: build again"
            yield finding(script, None, "run", message)


def failure(script: Path) -> tuple[int | None, str]:
    """Say where and how a page failed, from the traceback under its cell."""
    shown = [line for _, line in outputs(project.rendered(script))]
    starts = [number for number, line in enumerate(shown) if TRACEBACK.search(line)]
    lines = shown[starts[-1] + 1 :] if starts else []
    own = re.compile(rf'File ".*{re.escape(script.name)}", line (\d+)')
    places = [int(found[1]) for line in lines if (found := own.search(line))]
    error = next((line for line in lines if not line.startswith(" ")), "with a warning, see above")
    if not places:
        return None, f"failed: {error}"
    source = script.read_text(encoding="utf-8").splitlines()[places[-1] - 1].strip()
    return places[-1], f"failed: {error} (at: {source})"


def unmeasured(scripts: list[Path]) -> Iterator[Finding]:
    """Find published figures, and figures for a page's card, that no page measured."""
    measured = {
        (project.docname(script), result.name)
        for script in scripts
        for result in runs.checked(script)
    }
    published = project.DOCS / "published.toml"
    wanted = [
        (published, page, name)
        for page, figures in tomllib.loads(published.read_text(encoding="utf-8")).items()
        for name in figures
    ]
    wanted += [
        (project.HEADLINE, page, name)
        for page, figures in project.headlines().items()
        for name in figures.values()
    ]
    for file, page, name in wanted:
        if (page, name) not in measured:
            message = f"examples/{page}.py measured no {name!r}: fix the page, or the entry"
            yield finding(file, None, "claims", message)


def left_behind(script: Path, run: runs.Run) -> Iterator[Finding]:
    """Find what a page wrote and did not delete."""
    if run.left:
        message = (
            f"left files behind: {', '.join(run.left)}. Let it write into a temporary folder and "
            "delete that"
        )
        yield finding(script, None, "left", message)


def taken_over(script: Path) -> Iterator[Finding]:
    """Find what a page reads in the cache, and another page may have left there."""
    used = uses.Used.read(runs.used_file(script))
    for entry in used.entries if used else ():
        kind, _, name = entry.partition(" $CACHE/")
        if kind in {"file", "folder"} and name and not OURS.match(name.partition("/")[0]):
            message = (
                f"read {name} in the cache, which depends on earlier runs. Make it an asset of "
                "smallport, with a key of its inputs"
            )
            yield finding(script, None, "cache", message)


def unwritten(scripts: list[Path], site: Path) -> Iterator[Finding]:
    """Find pages that are not in the site."""
    for script in scripts:
        if not page_in(site, script).exists():
            message = "has no page in the site: sphinx-build stopped before writing it"
            yield finding(script, None, "site", message)


def junk_in_output(script: Path) -> Iterator[Finding]:
    """Find in what a page printed the things that mean nothing to a reader."""
    for line, output in outputs(project.rendered(script)):
        if what := junk_in(output):
            message = (
                f"the output of this cell holds {what}: {output.strip()!r}. Fix what prints it, or "
                "catch it and assert on it"
            )
            yield finding(script, first_line(script, line), "output", message)


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
