"""Run a page once, and each of its faults in a process that is forked from it.

``entries.json`` names, for each page and stub, the cell before which the fault enters; see
``run_forked.py``. ``nox -s faults -- --find-entries`` looks for these cells anew.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import filelock

from tests import page_helpers, run_page
from tests.faults.fault import Fault, Outcome, read_outcome
from tools.gallery import settings

HERE = Path(__file__).resolve().parent
ENTRIES = HERE / "entries.json"


@dataclass(frozen=True)
class Forked:
    """What came of a page and its faults.

    Parameters
    ----------
    unbroken
        The run of the page itself.
    folder
        Where the outcomes are; ``STUB.jsonl`` holds what a fault measured.
    entries
        The cells before which the stubs were tried first.
    """

    unbroken: page_helpers.PageRun
    folder: Path
    entries: Mapping[str, int]

    def outcome(self, stub: str) -> Outcome:
        """Read what came of a stub."""
        return read_outcome(self.folder, stub)


def run(
    page: Path,
    faults: Iterable[Fault],
    others: Iterable[str],
    root: Path,
    *,
    whole: bool,
    find: bool,
) -> Forked:
    """Run a page with its faults.

    Parameters
    ----------
    page
        The page.
    faults
        Its faults.
    others
        Further stubs, on which it has to pass.
    root
        An empty folder.
    whole
        Whether the page itself has to come to its end.
    find
        Whether to try each fault from the cell on in which it fails, and to keep where it enters.
    """
    kept = json.loads(ENTRIES.read_text(encoding="utf-8")).get(page.stem, {})
    entries = {stub: kept.get(stub, 0) for stub in others}
    listed: list[dict[str, Any]] = [{"stub": stub, "entry": cell} for stub, cell in entries.items()]
    for fault in faults:
        first, last = cells_of(fault)
        entry = entries[fault.stub] = first if find else kept.get(fault.stub, first)
        told = {"line": fault.line, "error": fault.error, "last": last}
        listed.append({"stub": fault.stub, "entry": entry} | told)
    folder = root / "faults"
    folder.mkdir()
    (folder / "faults.json").write_text(json.dumps(listed), encoding="utf-8")
    options = [folder] if whole else [folder, "--no-page"]
    runner = HERE / "run_forked.py"
    seconds = settings.page_seconds(os.environ) * (1 + len(listed))
    unbroken = page_helpers.run_page(page, root, "faults", *options, runner=runner, seconds=seconds)
    if find:
        keep_entries(page, {stub: read_outcome(folder, stub).entry for stub in entries})
    return Forked(unbroken, folder, entries)


def cells_of(fault: Fault) -> tuple[int, int]:
    """Guess the first and the last cell where a fault can fail, by its line and its error."""
    lines = fault.page.read_text(encoding="utf-8").splitlines()
    starts = [0, *(line - 1 for line in run_page.first_lines("\n".join(lines))), len(lines)]
    cells = [lines[start:end] for start, end in pairwise(starts)]
    having = [
        number
        for number, cell in enumerate(cells)
        if any(line.strip().startswith(fault.line) for line in cell)
    ]
    named = fault.error.removeprefix("AssertionError: ").partition(": claimed")[0]
    likely = [number for number in having if named in "\n".join(cells[number])]
    return (likely or having)[0], having[-1]


def keep_entries(page: Path, found: Mapping[str, int]) -> None:
    """Write the entries of a page's faults down, while other workers do so for others."""
    with filelock.FileLock(Path(tempfile.gettempdir(), "entries.lock")):
        entries = json.loads(ENTRIES.read_text(encoding="utf-8"))
        entries[page.stem] = dict(sorted((entries.get(page.stem, {}) | found).items()))
        text = json.dumps(dict(sorted(entries.items())), indent=2)
        ENTRIES.write_text(text + "\n", encoding="utf-8")
