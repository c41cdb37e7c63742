"""Run each page that has to run in a separate process: ``python -m tools.gallery.execute``.

A page's process is a sphinx-build that executes this page and leaves before it reads anything. It
has its own home and temporary folder, so that files that a page leaves there are found, and no
state that another page could have left behind. As many pages run at once as there are cores; while
one measures time, the others are stopped.
"""

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import IO

from smallport import AssetError, files
from tools.gallery import (
    alone,
    environment,
    gates,
    origin,
    page_runs,
    project,
    runs,
    settings,
)
from tools.gallery import used as uses

TIMES_LAST_DAYS = 7
"""After how many days a page that measures time has to measure again."""

HEARTBEAT_SECONDS = 30
SEALED = {".rst", ".py", ".ipynb", ".png"}
"""The endings of files that the site shows or offers, which nothing changes after the page ran."""


def world(variables: Mapping[str, str] = os.environ) -> uses.World:
    """Look up what the runs of pages are compared with.

    Parameters
    ----------
    variables
        The environment variables of the build; packages add to those of its process.
    """
    places = uses.Places(files.cache_folder())
    return uses.World(places, environment.settings_of_pages(variables))


def run_stale(variables: Mapping[str, str], fresh: str = "") -> set[Path]:
    """Run every page whose last run no longer stands, and clear away the pages that are gone.

    Returns the pages that ran.

    Parameters
    ----------
    variables
        The environment variables of the build.
    fresh
        The stem of a page that has to run in any case, or ``*`` for all.
    """
    remove_gone()
    now = world(variables)
    reasons = {}
    for script in assets_first(project.in_reading_order()):
        if fresh in {"*", script.stem}:
            reasons[script] = "a fresh run was asked for"
        elif reason := why_stale(script, now):
            reasons[script] = reason
    if reasons:
        run_pages(reasons, now, variables)
    return set(reasons)


def why_stale(script: Path, now: uses.World) -> str:
    """Say why a page's last run no longer stands; empty if it does.

    Parameters
    ----------
    script
        The page.
    now
        The present state.
    """
    run = runs.read(script)
    if run is None:
        return "there is no record of a run, or none that can be believed"
    if not run.passed or not project.memory_of(script).exists():
        return "its last run did not pass"
    if run.script != files.sha256(script):
        return "its text changed"
    if project.measures_time(script):
        age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(run.environment.date)
        if age > dt.timedelta(days=TIMES_LAST_DAYS):
            return f"it measures time, and did so {age.days} days ago"
    return unbelievable(run) or untold(script) or changed_since(script, now)


def unbelievable(run: runs.Run) -> str:
    """Say what shows that the output is not what a page printed here; empty where nothing does."""
    if altered := runs.altered(run):
        return f"{altered[0]} is not as its last run made it"
    doubt = origin.doubt(run.environment)
    return f"its record says that it ran {doubt}" if doubt else ""


def untold(script: Path) -> str:
    """Say why nobody can know whether a page's run still stands; empty if one can."""
    used = uses.Used.read(runs.used_file(script))
    return used.untold if used else "there is no record of what it used"


def changed_since(script: Path, now: uses.World) -> str:
    """Say what has changed of all that a page's run used; empty where nothing did."""
    used = uses.Used.read(runs.used_file(script))
    return uses.summary(now.changes(used)) if used else ""


def assets_first(scripts: Iterable[Path]) -> list[Path]:
    """Begin with the first page of each folder, which makes what the others of it wait for.

    Then come the folders from the last one on: the first page of the first folder trains meanwhile.
    """
    folders: dict[Path, list[Path]] = {}
    for script in scripts:
        folders.setdefault(script.parent, []).append(script)
    pages = list(folders.values())
    return [*(first for first, *_ in pages), *chain(*(rest for _, *rest in reversed(pages)))]


@dataclass
class Progress:
    """Prints which pages run, how many there are, and that they still run.

    Parameters
    ----------
    total
        How many pages have to run.
    """

    total: int
    begun: int = 0
    running: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, script: Path, reason: str) -> None:
        """Say that a page begins to run, and why."""
        before = runs.read(script)
        took = f" (last time {before.seconds:.0f} s)" if before and before.seconds else ""
        with self.lock:
            self.begun += 1
            self.running[project.name_of(script)] = time.monotonic()
            place = f"[{self.begun}/{self.total}]"
            print(f"{place} running {project.name_of(script)}: {reason}{took}", flush=True)

    def end(self, script: Path, run: runs.Run) -> None:
        """Say how a page ended."""
        with self.lock:
            seconds = time.monotonic() - self.running.pop(project.name_of(script))
            verdict = "passed" if run.passed else "FAILED"
            print(f"{verdict} {project.name_of(script)} after {seconds:.0f} s", flush=True)

    def beat(self, stopped: threading.Event) -> None:
        """Say now and then what still runs."""
        while not stopped.wait(HEARTBEAT_SECONDS):
            with self.lock:
                now = time.monotonic()
                lines = [f"{name} ({now - began:.0f} s)" for name, began in self.running.items()]
            if lines:
                print(f"still running: {', '.join(lines)}", flush=True)


def run_pages(reasons: dict[Path, str], now: uses.World, variables: Mapping[str, str]) -> None:
    """Run pages, as many at once as there are cores; while one measures time, the others wait.

    Parameters
    ----------
    reasons
        Why each page has to run.
    now
        The present state.
    variables
        The environment variables of the build.
    """
    described = environment.describe()
    environment.matplotlib_folder()
    progress = Progress(len(reasons))
    stopped = threading.Event()
    beat = threading.Thread(target=progress.beat, args=[stopped], daemon=True)
    beat.start()

    silence = alone.Silence()

    def run(script: Path) -> None:
        progress.begin(script, reasons[script])
        with silence.lock:
            ended = run_page(script, described, now, variables, silence)
        progress.end(script, ended)

    try:
        with silence.serve(), ThreadPoolExecutor(environment.usable_cores()) as pool:
            try:
                for future in [pool.submit(run, script) for script in reasons]:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        stopped.set()
        beat.join()


def run_page(
    script: Path,
    described: runs.Environment,
    now: uses.World,
    variables: Mapping[str, str],
    silence: alone.Silence,
) -> runs.Run:
    """Run a page in a separate process, and record how it ended and what it used.

    Parameters
    ----------
    script
        The page.
    described
        A description of its environment.
    now
        The present state.
    variables
        The environment variables of the build.
    silence
        Stops the page while another measures time; its lock is held.
    """
    remove_made(script)
    runs.forget(script)
    runs.folder_of(script).mkdir(parents=True, exist_ok=True)
    ended, trace = runs.ended_file(script), runs.folder_of(script) / "trace.txt"
    for file in (ended, trace):
        file.unlink(missing_ok=True)
    began, sources = files.sha256(script), uses.snapshot()
    present, cached = files_below(project.EXAMPLES), names_in(files.cache_folder())
    # Some file systems and antivirus programs hold on to files for a moment.
    with tempfile.TemporaryDirectory(prefix="smallport-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder).resolve()
        own = environment.page_environment(scratch, variables)
        path = [str(uses.RECORDER), *filter(None, [own.get("PYTHONPATH")])]
        docs = scratch / "docs"
        docs.mkdir()
        how, errors = _run(
            sphinx_for(script, docs),
            own
            | {
                "PYTHONPATH": os.pathsep.join(path),
                uses.TRACE: str(trace),
                uses.HARNESS: "1",
                settings.PAGE: project.docname(script) + ".py",
                settings.RESULTS_FILE: str(runs.results_file(script)),
                alone.ADDRESS: silence.address,
            },
            silence,
        )
        made = install_made(docs / "gallery")
        events = uses.read_trace(trace)
        left = [*left_in(scratch), *_new(present, events.of("write")), *_cached(cached, events)]
        used = uses.World(uses.Places(files.cache_folder(), scratch), now.settings).collect(
            trace, script
        )
    if edited := uses.edited(sources, used.entries):
        used = replace(used, untold=f"{edited[0]} was edited while it ran")
    used.write(runs.used_file(script))
    note = json.loads(ended.read_text("utf-8")) if ended.exists() else {}
    ended.unlink(missing_ok=True)
    line, failure = None, ""
    if not note:
        line, failure = gates.error_of_sphinx(script, errors)
        failure = failure or f"never came to its end: {how}"
    elif not note["passed"]:
        line, failure = gates.failure(script)
    else:
        page_runs.note(script.stem, "docs")
    run = runs.Run(
        script.relative_to(project.EXAMPLES).as_posix(),
        began,
        described,
        note.get("seconds"),
        failure,
        line,
        tuple(left),
        note.get("threads"),
        megabytes=note.get("megabytes"),
        made=made,
    )
    runs.write(script, run)
    return run


def _run(command: list[str], variables: dict[str, str], silence: alone.Silence) -> tuple[str, str]:
    """Run a page's process to its end or its time limit; say which it was, and its errors."""
    with tempfile.TemporaryFile() as errors:
        how = _run_to_end(command, variables, silence, errors)
        errors.seek(0)
        text = errors.read().decode("utf-8", "replace")
    sys.stderr.write(text)
    sys.stderr.flush()
    return how, text


def _run_to_end(
    command: list[str], variables: dict[str, str], silence: alone.Silence, errors: IO[bytes]
) -> str:
    limit = settings.page_seconds(os.environ)
    with subprocess.Popen(command, env=variables, stderr=errors) as process:
        try:
            with silence.unlocked():
                process.wait(limit)
        except subprocess.TimeoutExpired:
            return (
                f"it ran for more than {limit:g} s and was stopped. Make it quicker, or set "
                f"{settings.PAGE_SECONDS} to a higher limit"
            )
        finally:
            process.kill()  # which does nothing to one that has ended
    return (
        f"its process ended with status {process.returncode}. Let no page end the process, with "
        "sys.exit or otherwise"
    )


def sphinx_for(script: Path, docs: Path) -> list[str]:
    """Write the command that has the gallery execute one page, and look at no other.

    Parameters
    ----------
    script
        The page.
    docs
        An empty folder in which the gallery makes the page, since others are made at the same time.
    """
    own = rf"(?:^|[/\\]){re.escape(script.relative_to(project.EXAMPLES).as_posix())}$"
    options = {
        "extensions": "sphinx_gallery.gen_gallery,pages",
        "plot_gallery": "1",
        "html_extra_path": "",
        "sphinx_gallery_conf.examples_dirs": str(project.EXAMPLES),
        "sphinx_gallery_conf.filename_pattern": own,
        "sphinx_gallery_conf.ignore_pattern": rf"^(?!{re.escape(script.name)}$)",
    }
    defined = [part for name, value in options.items() for part in ("-D", f"{name}={value}")]
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "dummy", "-c", str(project.DOCS)]
    return [*command, *defined, str(docs), str(docs / "out")]


def install_made(gallery: Path) -> dict[str, str]:
    """Move what the gallery made of a page to where all pages are; give checksums of what it shows.

    The file that says that the page was made is moved at the end.
    """
    digests = {}
    made = [file for file in gallery.rglob("*") if file.is_file() and file.name != "index.rst"]
    for file in sorted(made, key=lambda one: one.suffix == ".md5"):
        target = project.GALLERY / file.relative_to(gallery)
        if target.parent.name != "backreferences":
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix in SEALED:
                digests[file.relative_to(gallery).as_posix()] = files.sha256(file)
            shutil.move(file, target)
    return digests


def left_in(scratch: Path) -> list[str]:
    """Name the files that a process left in its home and among its temporary files."""
    return [
        f"{words}/{path.relative_to(scratch / folder).as_posix()}"
        for folder, words in (("home", "~"), ("tmp", "the temporary folder"))
        for path in sorted((scratch / folder).rglob("*"))
        if not path.is_dir()
    ]


def files_below(folder: Path) -> dict[Path, int]:
    """Find the files below a folder, and when each was last written."""
    return {
        file: file.stat().st_mtime_ns
        for file in folder.rglob("*")
        if file.is_file() and file.parent.name != "__pycache__"
    }


def names_in(folder: Path) -> set[str]:
    """Name what lies in a folder."""
    return {path.name for path in folder.iterdir()}


def _new(present: dict[Path, int], written: set[str]) -> list[str]:
    """Name the files that a page wrote among the pages; others may be at work there, too."""
    return sorted(
        project.name_of(file)
        for file, when in files_below(project.EXAMPLES).items()
        if str(file) in written
        or (file not in present and not _is_of_another_page(file))
        or (present.get(file, when) != when and file.suffix not in {".py", ".rst"})
    )


def _cached(cached: set[str], events: uses.Events) -> list[str]:
    """Name what a page put into the cache, or changed there, that is no asset of smallport."""
    places = uses.Places(files.cache_folder())
    assets = {places.asset(path) for path in events.of("asset")}
    written = {
        Path(path).relative_to(places.cache).parts[0]
        for path in events.of("write")
        if places.asset(path)
    }
    new = {
        name
        for name in names_in(places.cache) - cached
        if not _is_of_another_page(places.cache / name)
    }
    return [
        f"the cache/{name}"
        for name in sorted((written & names_in(places.cache)) | new)
        if places.asset(places.cache / name) not in assets
    ]


def _is_of_another_page(file: Path) -> bool:
    """Tell whether a page that runs, or ran, says that it wrote a file, or an asset there."""
    places = uses.Places(files.cache_folder())
    for trace in runs.FOLDER.rglob("trace.txt"):
        events = uses.read_trace(trace)
        assets = {places.asset(path) for path in events.of("asset")}
        if str(file) in events.of("write") or places.asset(file) in assets - {""}:
            return True
    return False


def remove_gone() -> None:
    """Delete what the gallery and the site hold of pages that are gone, and their records."""
    for copied in list(project.GALLERY.rglob("*.py")):
        script = project.EXAMPLES / copied.relative_to(project.GALLERY)
        if not script.exists():
            print(f"removing the page of {project.name_of(script)}, which is gone", flush=True)
            remove_page(script)
    for folder in project.GALLERY.glob("*/"):
        generated = folder.name in {"backreferences", "images"}
        if not generated and not (project.EXAMPLES / folder.name).is_dir():
            shutil.rmtree(folder)


def remove_page(script: Path) -> None:
    """Delete what the gallery and the site hold of a page, and its record."""
    remove_made(script)
    # What refers to pages is made again from the pages that are there.
    shutil.rmtree(project.GALLERY / "backreferences", ignore_errors=True)
    shutil.rmtree(runs.folder_of(script), ignore_errors=True)
    page = gates.page_in(project.BUILD / "html", script)
    page.unlink(missing_ok=True)


def remove_made(script: Path) -> None:
    """Delete what the gallery made of a page."""
    own = re.compile(
        rf"(sphx_glr_)?{re.escape(script.stem)}(_\d+|_thumb|_small|_codeobj)*(_2_00x)?(_dark)?(\.|$)"
    )
    for file in list(project.GALLERY.rglob(f"*{script.stem}*")):
        if own.match(file.name):
            file.unlink()


def main() -> int:
    """Run the stale pages, before the server builds the site again."""
    try:
        run_stale(dict(os.environ))
    except AssetError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
