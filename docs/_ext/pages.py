"""Run each page as if it were the only one, and know when it has to run again.

Sphinx-Gallery runs a page whose text changed. This extension makes it forget, before it looks, the
pages whose last run no longer stands: another fingerprint of the surroundings, a run that did not
finish, or a rebuild that was asked for. It also clears away what pages that are gone left behind.
"""

import copy
import os
import random
import re
import shutil
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

import records
from smallport.results import RESULTS_FILE

logger = logging.getLogger(__name__)

FRESH = "SMALLPORT_FRESH"
"""The environment variable by which a build asks for a page to be run, or for all (``*``)."""

GALLERY = "gallery"

_started: dict[str, float] = {}
_warning_filters: list[Any] = []


def forget_stale(app: Sphinx) -> None:
    """Delete what the gallery remembers of pages that have to run again, or that are gone."""
    gallery = Path(app.srcdir) / GALLERY
    for copied in gallery.rglob("*.py"):
        script = records.EXAMPLES / copied.relative_to(gallery)
        memory = copied.with_name(copied.name + ".md5")
        if not script.exists():
            remove_page(script, gallery, Path(app.outdir))
        elif memory.exists() and (reason := why_stale(script, copied)):
            logger.info("%s runs again: %s", script.relative_to(records.EXAMPLES), reason)
            memory.unlink()
    remove_empty_folders(gallery)


def why_stale(script: Path, copied: Path) -> str:
    """Say why a page's last run no longer stands; empty if it does."""
    run = records.read(script)
    if os.environ.get(FRESH) in ("*", script.stem):
        return "a fresh run was asked for"
    if run is None or not run.passed or not copied.with_suffix(".rst").exists():
        return "its last run did not finish"
    if run.surroundings.fingerprint != _surroundings().fingerprint:
        return "what it depends on changed"
    return ""


def remove_page(script: Path, gallery: Path, site: Path) -> None:
    """Delete every file that a page which is gone left behind, and its record."""
    logger.info("%s is gone: removing its page", script.relative_to(records.EXAMPLES))
    own = re.compile(rf"(sphx_glr_)?{re.escape(script.stem)}(_\d+|_thumb|_codeobj)*(_2_00x)?(\.|$)")
    for folder in (gallery, site):
        for file in folder.rglob(f"*{script.stem}*"):
            if own.match(file.name):
                file.unlink()
    # What refers to pages is made anew from the pages that are there.
    shutil.rmtree(gallery / "backreferences", ignore_errors=True)
    shutil.rmtree(records.folder_of(script), ignore_errors=True)


def remove_empty_folders(gallery: Path) -> None:
    """Delete the folders of pages that have no folder under ``examples/`` any more."""
    for folder in gallery.glob("*/"):
        generated = folder.name in {"backreferences", "images"}
        if not generated and not (records.EXAMPLES / folder.name).is_dir():
            shutil.rmtree(folder)


@cache
def _surroundings() -> records.Surroundings:
    """Describe the surroundings once a build."""
    return records.surroundings()


def reset(gallery_conf: dict[str, Any], name: str, when: str) -> None:
    """Put global state back, and record where a page begins and ends.

    Sphinx-Gallery calls this before and after each page.
    """
    put_back_state()
    script = next(records.EXAMPLES.rglob(name))
    if when == "before":
        records.begin(script, _surroundings())
        os.environ[RESULTS_FILE] = str(records.results_file(script))
        _started[name] = time.perf_counter()
    else:
        os.environ.pop(RESULTS_FILE, None)
        failed = {Path(failing).name for failing in gallery_conf["failing_examples"]}
        records.finish(script, time.perf_counter() - _started.pop(name), passed=name not in failed)


def put_back_state() -> None:
    """Make the process look to the next page as it looked to the first."""
    import numpy as np  # noqa: PLC0415 - a build that runs no page does without these
    import torch  # noqa: PLC0415

    if not _warning_filters:
        _warning_filters.extend(copy.copy(warnings.filters))
        _defaults()
    warnings.filters[:] = _warning_filters
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global generator is what a page may have drawn from
    torch.manual_seed(0)
    threads, engine = _defaults()
    torch.set_num_threads(threads)
    torch.backends.quantized.engine = engine
    torch.set_default_dtype(torch.float32)
    torch.set_default_device("cpu")
    torch.set_grad_enabled(True)
    torch._dynamo.reset()  # noqa: SLF001 - documented under this name


@cache
def _defaults() -> tuple[int, str]:
    """Remember PyTorch's settings as they were before the first page."""
    import torch  # noqa: PLC0415

    return torch.get_num_threads(), torch.backends.quantized.engine


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect before the gallery looks at its pages (at 500)."""
    app.connect("builder-inited", forget_stale, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
