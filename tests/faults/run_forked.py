"""Run a page once, and its faults in forks: ``python run_forked.py PAGE MARK FOLDER [--no-page]``.

Before each cell, a process is forked that holds the page as it is there. ``faults.json`` in FOLDER
names the cell before which each fault enters: from the process that holds it, a child is forked,
which applies the fault's stub, imports anew what earlier cells imported, and runs on. Where it does
not fail as it has to, the fault enters before an earlier cell, and before the first one at last.
What it printed and how it ended is in FOLDER when the page goes on. With ``--no-page``, the page
ends after the last fault.

A stub is a module in ``stubs/``. Its ``apply`` changes the packages that the page imports, in the
child process, so that they are what another release of them might be.
"""

import ast
import contextlib
import importlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from fault import Fault, read_outcome  # noqa: E402

import run_page  # noqa: E402

del sys.path[:2]

RESULTS_FILE = "SMALLPORT_RESULTS_FILE"
BACK = (0, 1, 2, 4, 8)
"""How many cells earlier a fault is tried that does not fail as it has to."""

SECONDS = 180
"""How long a fault may run. One that takes longer hangs: the page had threads, say."""

PASSING_SECONDS = 900
"""How long a stub may run on which the page has to pass."""


class Holder:
    """A process that holds the page as it is before a cell, and forks a child for each fault."""

    def __init__(self) -> None:
        (read, self.write), (self.read, write) = os.pipe(), os.pipe()
        self.child = ""
        self.process = fork()
        if not self.process:
            self._serve(read, write)

    def _serve(self, read: int, write: int) -> None:
        """Fork children until the page ends; in a child, return."""
        os.close(self.write)  # so that reading ends when the page does
        while not self.child:
            stub, _, seconds = os.read(read, 1000).decode().partition(" ")
            if not stub:
                os._exit(0)
            if child := fork():
                os.write(write, str(wait(child, float(seconds))).encode())
            else:
                self.child = stub

    def run(self, stub: str, seconds: float) -> str:
        """Run a fault to its end or its time limit, and say how its process ended."""
        os.write(self.write, f"{stub} {seconds}".encode())
        return os.read(self.read, 1000).decode()

    def end(self) -> None:
        """End the process."""
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.read)
        os.close(self.write)


def fork() -> int:
    """Fork this process."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about threads, from Python 3.12 on
        return os.fork()


def wait(child: int, seconds: float) -> int:
    """Wait for a child, end it if it takes too long, and what it left running; say how it ended."""
    status, late = None, time.monotonic() + seconds
    while status is None:
        ended, code = os.waitpid(child, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(code)
        elif time.monotonic() > late:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return status


class Forks:
    """The faults of a page.

    Parameters
    ----------
    page
        The page.
    folder
        Where they are listed, and what comes of them is written.
    page_wanted
        Whether the page has to come to its end.
    """

    def __init__(self, page: Path, folder: Path, *, page_wanted: bool):
        listed = json.loads((folder / "faults.json").read_text(encoding="utf-8"))
        self.entries = {one["stub"]: one["entry"] for one in listed}
        self.faults = {
            one["stub"]: Fault(one["stub"], page, one["line"], one["error"])
            for one in listed
            if "line" in one
        }
        self.last_cells = {one["stub"]: one["last"] for one in listed if "last" in one}
        self.folder = folder
        self.page_wanted = page_wanted
        self.sandbox = Path.cwd().parent
        self.holders: dict[int, Holder] = {}
        self.in_child = False
        self.child_until: int | None = None

    def before_cell(self, number: int, names: dict[str, Any], earlier: list[ast.stmt]) -> None:
        """Try the faults that enter here; in a child, return after its stub is applied."""
        if self.in_child:
            if self.child_until is not None and number > self.child_until:
                os._exit(0)  # it did not fail where it could
            return
        measured = read_results()
        holder = self.holders[number] = Holder()
        if holder.child:
            self.in_child = True
            self.child_until = self.last_cells.get(holder.child)
            self.isolate(holder.child, measured)
            apply(holder.child, names, earlier)
            return
        for gone in [cell for cell in self.holders if 0 < cell < number - max(BACK)]:
            self.holders.pop(gone).end()
        for stub in [stub for stub, entry in self.entries.items() if entry == number]:
            cells = [number - back for back in BACK if back <= number]
            for cell in dict.fromkeys([*cells, 0]):
                if self.is_right(stub, cell):
                    break
        if not self.page_wanted and number >= max(self.entries.values(), default=0):
            self.end()
            os._exit(0)

    def is_right(self, stub: str, cell: int) -> bool:
        """Run a fault from a cell on, and tell whether it failed as it has to.

        It finds the folders of the page as they are, and may change what lies in them.
        """
        kept = self.sandbox.with_name("kept")
        self.sandbox.rename(kept)
        shutil.copytree(kept, self.sandbox)
        fault = self.faults.get(stub)
        status = self.holders[cell].run(stub, SECONDS if fault else PASSING_SECONDS)
        for kind, text in (("status", status), ("entry", str(cell))):
            (self.folder / f"{stub}.{kind}").write_text(text, encoding="utf-8")
        shutil.rmtree(self.sandbox)
        kept.rename(self.sandbox)
        return fault is None or not fault.contradiction(read_outcome(self.folder, stub))

    def isolate(self, stub: str, measured: str) -> None:
        """Give a child a process group, a folder, streams and results of its own."""
        os.setsid()
        os.chdir(self.sandbox / "empty")
        for stream, name in ((1, "stdout"), (2, "stderr")):
            file = os.open(self.folder / f"{stub}.{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(file, stream)
        results = self.folder / f"{stub}.jsonl"
        results.write_text(measured, encoding="utf-8")
        os.environ[RESULTS_FILE] = str(results)

    def end(self) -> None:
        """End the processes that hold the page."""
        for holder in self.holders.values():
            holder.end()


def read_results() -> str:
    """Read what the page has measured so far."""
    file = Path(os.environ[RESULTS_FILE])
    return file.read_text(encoding="utf-8") if file.exists() else ""


def apply(stub: str, names: dict[str, Any], earlier: list[ast.stmt]) -> None:
    """Apply a stub, and bind the names again that still are what earlier cells imported."""
    imports = [node for node in earlier if isinstance(node, ast.Import | ast.ImportFrom)]
    code = compile(ast.Module(imports, []), "<imports>", "exec", dont_inherit=True)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    exec(code, before)
    sys.path[:0] = [str(HERE / "stubs"), str(HERE.parents[1])]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        importlib.import_module(stub).apply()
    del sys.path[:2]
    exec(code, after)
    same = [name for name, value in before.items() if names.get(name) is value]
    names.update({name: after[name] for name in same if name != "__builtins__"})


def main() -> None:
    """Run the page; a child ends here, without the clearing up that is its parent's."""
    page, mark, folder, *options = sys.argv[1:]
    forks = Forks(Path(page), Path(folder), page_wanted="--no-page" not in options)
    try:
        run_page.run(page, mark, forks.before_cell)
        status = 0
    except BaseException:
        if not forks.in_child:
            raise
        traceback.print_exc()
        status = 1
    finally:
        if not forks.in_child:
            forks.end()
    if forks.in_child:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
