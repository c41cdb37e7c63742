"""Run each page that has to run, in a process of its own: ``python -m tools.gallery.execute``.

A page's process is a sphinx-build that executes this page and leaves before it reads anything. It
has a home and a temporary folder of its own, so that what a page leaves there is seen, and no state
that another page could have left behind.
"""

import json
import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
from pathlib import Path

from smallport import AssetError, files
from smallport.files import cache_folder
from tools.gallery import fingerprint, gates, project, runs, settings

MATPLOTLIB = project.BUILD / "matplotlib"
"""Keeps the font cache of Matplotlib, which takes seconds to build, from one page to the next."""

DROPPED = ("PYTHONOPTIMIZE", "PYTHONWARNINGS", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
"""Variables that would take assertions or warnings out of a page, or lead it past its home."""

OURS = re.compile(
    r"[\w.-]*-[0-9a-f]{16}(\.\w+)*$|hub$|wikitext-2$|word_language_model_quantize\.pth(\.sha256)?$"
)
"""What smallport itself puts into its cache."""


def run_stale(environment: runs.Environment, fresh: str = "") -> None:
    """Run every page whose last run no longer stands, and clear away the pages that are gone.

    Parameters
    ----------
    environment
        What the pages run in.
    fresh
        The stem of a page that has to run in any case, or ``*`` for all.
    """
    remove_gone()
    for script in project.scripts():
        reason = why_stale(script, environment)
        if fresh in {"*", script.stem}:
            reason = "a fresh run was asked for"
        if reason:
            print(f"running {project.name_of(script)}: {reason}", flush=True)
            run_page(script, environment)


def why_stale(script: Path, environment: runs.Environment) -> str:
    """Say why a page's last run no longer stands; empty if it does."""
    run = runs.read(script)
    made = [project.memory_of(script), project.rendered(script)]
    if run is None:
        return "there is no record of a run, or none that can be believed"
    if not run.passed or not all(file.exists() for file in made):
        return "its last run did not pass"
    if run.script != files.sha256(script):
        return "its text changed"
    if run.environment.fingerprint != environment.fingerprint:
        return "what it depends on changed"
    return ""


def run_page(script: Path, environment: runs.Environment) -> None:
    """Run a page in a process of its own, and record how that went."""
    runs.forget(script)
    project.memory_of(script).unlink(missing_ok=True)
    remove_unfinished()
    runs.folder_of(script).mkdir(parents=True, exist_ok=True)
    ended = runs.ended_file(script)
    ended.unlink(missing_ok=True)
    began = files.sha256(script)
    present, cached = files_below(project.EXAMPLES), names_in(cache_folder())
    # Some file systems and antivirus programs hold on to files for a moment.
    with tempfile.TemporaryDirectory(prefix="smallport-", ignore_cleanup_errors=True) as scratch:
        variables = page_environment(Path(scratch)) | {
            settings.PAGE: project.docname(script) + ".py",
            settings.RESULTS_FILE: str(runs.results_file(script)),
        }
        how = _run(sphinx_for(script), variables)
        left = [*left_in(Path(scratch)), *_new(present), *_foreign(cached)]
    note = json.loads(ended.read_text("utf-8")) if ended.exists() else {}
    ended.unlink(missing_ok=True)
    line, failure = None, ""
    if not note:
        failure = f"never came to its end: {how}"
    elif not note["passed"]:
        line, failure = gates.failure(script)
    name = script.relative_to(project.EXAMPLES).as_posix()
    run = runs.Run(
        name,
        began,
        environment,
        note.get("seconds"),
        failure,
        line,
        tuple(left),
        note.get("threads"),
        megabytes=note.get("megabytes"),
    )
    runs.write(script, run)


def _run(command: list[str], variables: dict[str, str]) -> str:
    """Run a page's process to its end or its time limit; say which it was."""
    limit = settings.page_seconds(os.environ)
    try:
        done = subprocess.run(command, env=variables, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return (
            f"it ran for more than {limit:g} s and was stopped. Make it quicker, or set "
            f"{settings.PAGE_SECONDS} to a higher limit"
        )
    return (
        f"its process ended with status {done.returncode}. Let no page end the process, with "
        "sys.exit or otherwise"
    )


def sphinx_for(script: Path) -> list[str]:
    """Write the command that has the gallery execute one page, and look at no other."""
    own = rf"(?:^|[/\\]){re.escape(script.relative_to(project.EXAMPLES).as_posix())}$"
    options = {
        "extensions": "sphinx_gallery.gen_gallery,pages",
        "plot_gallery": "1",
        "html_extra_path": "",
        "sphinx_gallery_conf.filename_pattern": own,
        "sphinx_gallery_conf.ignore_pattern": rf"^(?!{re.escape(script.name)}$)",
    }
    defined = [part for name, value in options.items() for part in ("-D", f"{name}={value}")]
    doctrees = project.BUILD / "page-doctrees"
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "dummy", "-d", str(doctrees), *defined]
    return [*command, str(project.DOCS), str(project.BUILD / "page")]


def page_environment(scratch: Path) -> dict[str, str]:
    """Name the environment variables of a page's process.

    Parameters
    ----------
    scratch
        An empty folder, for its home and its temporary files.
    """
    home, temporary = scratch / "home", scratch / "tmp"
    for folder in (home, temporary):
        folder.mkdir()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = {name: value for name, value in os.environ.items() if name not in DROPPED}
    return kept | {
        **dict.fromkeys(("HOME", "USERPROFILE"), str(home)),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
        "PYTHONUSERBASE": site.getuserbase(),
        "MPLCONFIGDIR": str(matplotlib_folder()),
        "MPLBACKEND": "agg",
        "HF_HOME": os.environ.get("HF_HOME") or str(caches / "huggingface"),
        "SMALLPORT_CACHE_DIR": str(cache_folder()),
    }


def matplotlib_folder() -> Path:
    """Name the folder of Matplotlib's caches, filled so that no page waits for it."""
    if not any(MATPLOTLIB.glob("fontlist-*.json")):
        MATPLOTLIB.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", "import matplotlib.font_manager"]
        variables = os.environ | {"MPLCONFIGDIR": str(MATPLOTLIB)}
        subprocess.run(command, env=variables, check=True, capture_output=True)
    return MATPLOTLIB


def left_in(scratch: Path) -> list[str]:
    """Name what a process left in its home and among its temporary files."""
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


def _new(present: dict[Path, int]) -> list[str]:
    """Name the files that a page wrote among the pages; somebody may edit a page meanwhile."""
    return sorted(
        project.name_of(file)
        for file, written in files_below(project.EXAMPLES).items()
        if file not in present or (present[file] != written and file.suffix not in {".py", ".rst"})
    )


def _foreign(cached: set[str]) -> list[str]:
    """Name what is new in the cache and not smallport's."""
    new = sorted(names_in(cache_folder()) - cached)
    return [f"the cache/{name}" for name in new if not OURS.match(name)]


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


def remove_unfinished() -> None:
    """Delete what the gallery has of pages that ended its process, which it fails over."""
    for copied in list(project.GALLERY.rglob("*.py")):
        if not copied.with_suffix(".ipynb").exists():
            copied.unlink()


def remove_page(script: Path) -> None:
    """Delete what the gallery and the site hold of a page, and its record."""
    own = re.compile(
        rf"(sphx_glr_)?{re.escape(script.stem)}(_\d+|_thumb|_small|_codeobj)*(_2_00x)?(_dark)?(\.|$)"
    )
    for file in list(project.GALLERY.rglob(f"*{script.stem}*")):
        if own.match(file.name):
            file.unlink()
    # What refers to pages is made again from the pages that are there.
    shutil.rmtree(project.GALLERY / "backreferences", ignore_errors=True)
    shutil.rmtree(runs.folder_of(script), ignore_errors=True)
    page = gates.page_in(project.BUILD / "html", script)
    page.unlink(missing_ok=True)


def main() -> int:
    """Run the stale pages, before the server builds the site again."""
    try:
        run_stale(fingerprint.describe())
    except AssetError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
