"""Run each page as if it were the only one, and know when it has to run again.

Sphinx-Gallery runs a page whose text changed. This extension makes it forget, before it looks, the
pages whose last run no longer stands: another fingerprint of the environment, a run that did not
finish, or a rebuild that was asked for. It also clears away what pages that are gone left behind.
"""

import logging as python_logging
import os
import random
import re
import shutil
import sys
import time
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx.util import logging

from smallport import AssetError
from smallport.records import RESULTS_FILE
from tools.gallery import fingerprint, runs

logger = logging.getLogger(__name__)

GALLERY = "gallery"

LOGGED = python_logging.Formatter("%(levelname)s:%(name)s:%(message)s")
"""How a log line looks that nobody configured: by default like anything else that is printed."""

_started: dict[str, float] = {}
_present: dict[str, dict[Path, int]] = {}


def forget_stale(app: Sphinx) -> None:
    """Delete what the gallery remembers of pages that have to run again, or that are gone."""
    gallery = Path(app.srcdir) / GALLERY
    _environment()
    for copied in list(gallery.rglob("*.py")):
        script = runs.EXAMPLES / copied.relative_to(gallery)
        memory = memory_of(copied)
        if not script.exists():
            remove_page(script, gallery)
        elif memory.exists() and (reason := why_stale(script, copied)):
            logger.info("%s runs again: %s", script.relative_to(runs.EXAMPLES), reason)
            memory.unlink()
    remove_empty_folders(gallery)


def why_stale(script: Path, copied: Path) -> str:
    """Say why a page's last run no longer stands; empty if it does."""
    run = runs.read(script)
    if os.environ.get(runs.FRESH) in ("*", script.stem):
        return "a fresh run was asked for"
    if run is None or not run.passed or not copied.with_suffix(".rst").exists():
        return "its last run did not finish"
    if run.script != runs.checksum(script):
        return "its text changed"
    if run.environment.fingerprint != _environment().fingerprint:
        return "what it depends on changed"
    return ""


def remove_page(script: Path, gallery: Path) -> None:
    """Delete what the gallery made of a page that is gone, and its record."""
    logger.info("%s is gone: removing its page", script.relative_to(runs.EXAMPLES))
    own = re.compile(rf"(sphx_glr_)?{re.escape(script.stem)}(_\d+|_thumb|_codeobj)*(_2_00x)?(\.|$)")
    for file in list(gallery.rglob(f"*{script.stem}*")):
        if own.match(file.name):
            file.unlink()
    # What refers to pages is made anew from the pages that are there.
    shutil.rmtree(gallery / "backreferences", ignore_errors=True)
    shutil.rmtree(runs.folder_of(script), ignore_errors=True)


def remove_empty_folders(gallery: Path) -> None:
    """Delete the folders of pages that have no folder under ``examples/`` any more."""
    for folder in gallery.glob("*/"):
        generated = folder.name in {"backreferences", "images"}
        if not generated and not (runs.EXAMPLES / folder.name).is_dir():
            shutil.rmtree(folder)


@cache
def _environment() -> runs.Environment:
    """Describe the environment once a build, and write them down for the gates."""
    try:
        described = fingerprint.describe()
    except AssetError as error:
        runs.note_stop(str(error))
        raise ConfigError(str(error)) from None
    runs.note_environment(described)
    return described


def reset(gallery_conf: dict[str, Any], name: str, when: str) -> None:
    """Put global state back, and record where a page begins and ends.

    Sphinx-Gallery calls this before and after each page.
    """
    threads = torch.get_num_threads()
    put_back_state()
    script = next(runs.EXAMPLES.rglob(name))
    memory = memory_of(Path(gallery_conf["src_dir"], GALLERY, script.relative_to(runs.EXAMPLES)))
    if when == "before":
        memory.unlink(missing_ok=True)
        runs.begin(script, _environment())
        _present[name] = files_beside(script)
        os.environ[RESULTS_FILE] = str(runs.results_file(script))
        _started[name] = time.perf_counter()
    else:
        os.environ.pop(RESULTS_FILE, None)
        seconds = time.perf_counter() - _started.pop(name)
        written = files_beside(script).items() - _present.pop(name).items()
        left = tuple(sorted(str(file.relative_to(script.parent)) for file, _ in written))
        # The gallery remembers a page if and only if it ran to its end.
        runs.finish(script, seconds, passed=memory.exists(), threads=threads, left=left)


def memory_of(copied: Path) -> Path:
    """Name the file in which the gallery keeps the checksum of a page that ran."""
    return copied.with_name(copied.name + ".md5")


def files_beside(script: Path) -> dict[Path, int]:
    """Find what lies in a page's folder besides pages, and when it was last written."""
    files = (file for file in script.parent.rglob("*") if file.is_file())
    return {
        file: file.stat().st_mtime_ns
        for file in files
        if file.suffix not in {".py", ".rst"} and file.parent.name != "__pycache__"
    }


@dataclass(frozen=True)
class State:
    """What pages may change of the process that they run in."""

    threads: int
    engine: str
    filters: list[Any]
    log_handlers: list[python_logging.Handler]
    log_level: int


@cache
def first_state() -> State:
    """Remember the state before the first page."""
    root = python_logging.getLogger()
    return State(
        threads=torch.get_num_threads(),
        engine=torch.backends.quantized.engine,
        filters=list(warnings.filters),
        log_handlers=list(root.handlers),
        log_level=root.level,
    )


def put_back_state() -> None:
    """Make the process look to the next page as it looked to the first."""
    state = first_state()
    warnings.resetwarnings()  # so that a warning which an earlier page saw is given again
    warnings.filters[:] = state.filters
    root = python_logging.getLogger()
    root.handlers[:] = state.log_handlers
    root.setLevel(state.log_level)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global generator is what a page may have drawn from
    torch.manual_seed(0)
    torch.set_num_threads(state.threads)
    torch.backends.quantized.engine = state.engine
    torch.set_default_dtype(torch.float32)
    torch.set_default_device("cpu")
    torch.set_grad_enabled(True)
    if dynamo := sys.modules.get("torch._dynamo"):  # slow to import for nothing
        dynamo.reset()


def note_examples(app: Sphinx, docname: str, source: list[str]) -> None:
    """Have an API page read again when the pages that use its object are others."""
    if docname.startswith("api/"):
        backreferences = Path(app.srcdir, GALLERY, "backreferences")
        name = docname.removeprefix("api/")
        app.env.note_dependency(str(backreferences / f"{name}.examples"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect before the gallery looks at its pages (at 500)."""
    app.connect("builder-inited", forget_stale, priority=400)
    app.connect("source-read", note_examples)
    if python_logging.lastResort:
        python_logging.lastResort.setFormatter(LOGGED)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
