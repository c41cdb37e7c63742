"""Gates on a finished build, which apply even if sphinx-build succeeded.

Each gate looks at what lies on disk: the scripts, the records of their runs, what the gallery made
of them, and the site. Each finding names the page, the line where there is one, and what to do.
"""

import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterator
from functools import cache
from itertools import groupby, zip_longest
from pathlib import Path

import platformdirs

from smallport import files
from tools.downloads import bundle, contents, notebook_rst, offered
from tools.gallery import origin, project, reached, runs
from tools.gallery import used as uses
from tools.gallery.project import Finding, finding
from tools.lint import claims

REPAIR = (
    "another build would find the same. Look for what writes that file while pages run, a page or "
    "another program"
)
"""The advice about a page that ran and whose run does not stand."""

SHOWN_AS = {".. code-block:: none", ".. code-block:: pytb"}
PRINTED = ".. rst-class:: sphx-glr-script-out"
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


def findings(
    site: Path, changed_since: Callable[[Path], str], ran: Collection[Path] = ()
) -> list[Finding]:
    """Apply every gate to a build.

    Parameters
    ----------
    site
        The folder of the site.
    changed_since
        Says what has changed of all that a page's run used.
    ran
        The pages that this build ran, for which another build would change nothing.
    """
    scripts = project.in_reading_order()  # what breaks a page breaks those after it
    found = [*unexecuted(scripts, changed_since, ran), *unmeasured(scripts)]
    for script in scripts:
        if run := runs.read(script):
            found += [*left_behind(script, run), *taken_over(script), *unsealed(script, run)]
            if run.passed and not runs.altered(run):
                found += shown_otherwise(script, run, site)
            if run.passed:
                places = reached.read(runs.results_file(script))
                embedded = os.environ.get("SMALLPORT_ASSETS", "embedded") == "embedded"
                found += claims.unreached(script, places, compared=embedded)
                found += junk_in_output(script)
    found += [*unwritten(scripts, site), *notebook_rst.findings(site)]
    return [*found, *contents.unlike_pages(site)] if (site / bundle.NAME).exists() else found


def first_line(script: Path, line: int) -> int:
    """Find the first line of a cell that holds something."""
    lines = script.read_text(encoding="utf-8").splitlines()
    while line < len(lines) and not lines[line - 1].strip():
        line += 1
    return line


def page_in(site: Path, script: Path) -> Path:
    """Name the page of a script in a site."""
    return site / "gallery" / script.relative_to(project.EXAMPLES).with_suffix(".html")


def unexecuted(
    scripts: list[Path], changed_since: Callable[[Path], str], ran: Collection[Path] = ()
) -> Iterator[Finding]:
    """Find pages that did not run to their end, or whose last run no longer stands."""
    for script in scripts:
        run = runs.read(script)
        again = f"ran in this build, and {{}}: {REPAIR}" if script in ran else "{}: build again"
        if run is None:
            flaw = runs.flaw(script)
            message = again.format(f"the record of its run cannot be believed ({flaw})")
            yield finding(script, None, "run", message)
        elif run.failure:
            yield finding(script, run.line, "run", run.failure)
        elif run.script != files.sha256(script):
            yield finding(script, None, "run", again.format("its text has changed since"))
        elif changes := changed_since(script):
            yield finding(script, None, "run", again.format(f"since then, {changes}"))


def error_of_sphinx(script: Path, errors: str) -> tuple[int | None, str]:
    r"""Read where and why an extension of Sphinx stopped a page; nothing where none did.

    Parameters
    ----------
    script
        The page.
    errors
        The text that its process wrote to standard error.

    Examples
    --------
    >>> error_of_sphinx(Path("page.py"), "Extension error!\nExtension error: page.py:3: it draws")
    (3, 'failed: it draws')
    """
    _, found, text = errors.rpartition("Extension error")
    lines = [line.strip(" :!") for line in text.splitlines() if line.strip(" :!")]
    if not found or not lines:
        return None, ""
    return _placed(script, " ".join(lines[:3]))


def _placed(script: Path, message: str) -> tuple[int | None, str]:
    """Take the line of a page out of a message of our extensions, which names it."""
    placed = re.search(rf"{re.escape(script.name)}:(\d+): (.*)", message)
    return (int(placed[1]), f"failed: {placed[2]}") if placed else (None, f"failed: {message}")


def failure(script: Path) -> tuple[int | None, str]:
    """Say where and how a page failed, from the traceback under its cell."""
    shown = [line for _, line in outputs(project.rendered(script))]
    starts = [number for number, line in enumerate(shown) if TRACEBACK.search(line)]
    lines = shown[starts[-1] + 1 :] if starts else []
    own = re.compile(rf'File ".*{re.escape(script.name)}", line (\d+)')
    places = [int(found[1]) for line in lines if (found := own.search(line))]
    error = next((line for line in lines if not line.startswith(" ")), "with a warning, see above")
    if not places:
        return _placed(script, error)
    source = script.read_text(encoding="utf-8").splitlines()[places[-1] - 1].strip()
    return places[-1], f"failed: {error} (at: {source})"


def unmeasured(scripts: list[Path]) -> Iterator[Finding]:
    """Find published figures, and figures for a page's card, that no page measured."""
    measured = {
        (project.docname(script), result.name)
        for script in scripts
        for result in runs.checked(script)
    }
    failed = {project.docname(one) for one in scripts if (run := runs.read(one)) and run.failure}
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
        if (page, name) not in measured and page not in failed:  # which has a finding of its own
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
    """Find what a page reads that other pages or earlier runs left."""
    used = uses.Used.read(runs.used_file(script))
    for name in used.foreign if used else ():
        message = (
            f"read {name}, which another page or an earlier run left. Let the page compute it, or "
            "make it an asset in smallport.assets, with a key of its inputs"
        )
        yield finding(script, None, "foreign", message)


def unsealed(script: Path, run: runs.Run) -> Iterator[Finding]:
    """Find what was changed after a page ran: its text, its figures, or where it says it ran."""
    for name in runs.altered(run):
        message = (
            f"{name} was changed after the page ran, so the site does not show what it printed or "
            f"drew: find the code that writes there, and run `{run.command}`"
        )
        yield finding(script, None, "sealed", message)
    if doubt := origin.doubt(run.environment):
        message = (
            f"says that it ran {doubt}: look at tools.gallery.environment.describe, and run "
            f"`{run.command}`"
        )
        yield finding(script, None, "provenance", message)


def shown_otherwise(script: Path, run: runs.Run, site: Path) -> Iterator[Finding]:
    """Find output and figures that the site shows otherwise than the gallery made them."""
    page = page_in(site, script)
    if not page.exists():
        return
    shown = offered.outputs_in(page.read_text(encoding="utf-8"))
    printed = list(_output_blocks(project.rendered(script)))
    end = (printed[-1][0] if printed else 1, "nothing more")
    for (line, made), there in zip_longest(printed, shown, fillvalue=end):
        text = "nothing" if there == end else str(there)
        if _letters(text) != _letters(made):
            message = (
                f"{page.name} shows {_part(text, made)!r} as output of this cell, which printed "
                f"{_part(made, text)!r}: look which extension or script changes it"
            )
            yield finding(script, first_line(script, line), "sealed", message)
            break
    for name, digest in run.made.items():
        image = site / "_images" / Path(name).name
        if name.endswith(".png") and image.exists() and files.sha256(image) != digest:
            message = (
                f"_images/{image.name} in the site is not the figure that the page drew: look "
                "which extension or script writes there"
            )
            yield finding(script, None, "sealed", message)


def _letters(text: str) -> str:
    return "".join(text.split())


def _part(text: str, other: str) -> str:
    """Take the first line of a text that is not the same in another one."""
    pairs = zip_longest(text.strip().splitlines(), other.strip().splitlines(), fillvalue="")
    return next((line.strip() for line, there in pairs if _letters(line) != _letters(there)), "")


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
    for line, _, text in _output_lines(page):
        yield line, text


def _output_blocks(page: Path) -> Iterator[tuple[int, str]]:
    """Read each output of a page as :func:`tools.downloads.offered.outputs_in` reads the site's."""
    for (line, kind), lines in groupby(_output_lines(page), lambda one: one[:2]):
        text = "\n".join(text for _, _, text in lines)
        yield line, offered.table_text(text) if kind == OUTPUT_TABLE else text


def _output_lines(page: Path) -> Iterator[tuple[int, str, str]]:
    """Read the lines of outputs, with the line of their cell and with what begins the output."""
    if not page.exists():
        return
    content = page.read_bytes().decode("utf-8")
    line, kind, inside = 1, "", False
    for text in content.split("\n"):
        if found := LINES.search(text):
            line, inside = int(found[1]), False
        elif text.startswith((PRINTED, OUTPUT_TABLE)):
            kind, inside = PRINTED if text.startswith(PRINTED) else OUTPUT_TABLE, True
        elif inside and text.strip() and text.strip() not in SHOWN_AS:
            inside = text[0].isspace()  # a carriage return is, too
            if inside:
                yield line, kind, text.removeprefix("    ")
