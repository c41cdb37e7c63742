"""Execute one page, in a process that was started for it, and leave before Sphinx reads anything.

``tools.gallery.execute`` starts such a process for each page that has to run, names the page in the
environment, and switches the gallery's execution on, which conf.py has off. What is left here is to
note how the page ended, and to leave.
"""

import hashlib
import logging as python_logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import figures
from smallport import files
from tools.gallery import alone, cells, project, reached, runs, settings

LOGGED = python_logging.Formatter("%(levelname)s:%(name)s:%(message)s")
"""The format of log lines without a configuration, whose default looks like printed text."""

_clock: dict[str, float] = {}


def reset(gallery_conf: dict[str, Any], name: str, when: str) -> None:
    """Start and stop the clock of a page and notify its recorder.

    After a page the gallery looks for related ones, with NumPy, and divides by zero where there are
    few words to compare. NumPy's settings of the page do not apply then.
    """
    if recorder := getattr(sys.modules.get("sitecustomize"), "TRACE", None):
        recorder.begin() if when == "before" else recorder.end()
    _clock[when] = time.perf_counter()
    if when == "after" and "numpy" in sys.modules:
        sys.modules["numpy"].seterr(divide="warn", over="warn", under="ignore", invalid="warn")


def finish_page(app: Sphinx) -> None:
    """Note how the page ended, and end the process, where it was started for a page."""
    if not (page := os.environ.get(settings.PAGE)):
        return
    script = project.EXAMPLES / page
    memory = Path(app.srcdir, "gallery", f"{page}.md5")
    note = {
        # The gallery remembers a page if and only if it ran to its end.
        "passed": memory.exists() and not app._warncount,  # noqa: SLF001 - nothing public counts them
        "seconds": _clock["after"] - _clock["before"],
        "threads": sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None,
        "megabytes": most_memory(),
    }
    reached.record()
    files.write_json(runs.ended_file(script), note)
    if not memory.exists():
        keep_traceback(memory)
    figures.darken_all(memory.parents[1])
    sys.stdout.flush()
    sys.exit(0)


def most_memory() -> float | None:
    """Measure how much memory the largest process of the page took at most, in MB."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return None
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    most = max(resource.getrusage(kind).ru_maxrss for kind in kinds)
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def keep_traceback(memory: Path) -> None:
    """Have the gallery keep what it made of a page that failed; the record says that it did."""
    text = memory.with_suffix("").read_text(encoding="utf-8")
    files.write_text(memory, hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect after the gallery executed the page (at 500), whose claims are marked before."""
    if os.environ.get(settings.PAGE):
        cells.before_each(reached.mark)
        alone.ask_before_cells()
    app.connect("builder-inited", finish_page, priority=600)
    if python_logging.lastResort:
        python_logging.lastResort.setFormatter(LOGGED)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
