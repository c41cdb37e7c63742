"""Let the page that measures time run alone: the others of the build are stopped meanwhile.

The build listens; a page's process connects, asks before a cell that measures time, and says after
it that the others may continue. The end of its process says so, too.
"""

import ast
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Client, Connection, Listener

import psutil

from tools.gallery import cells, project

ADDRESS = "SMALLPORT_ALONE"
"""The variable that names the build's socket."""


class Measuring:
    """Tells which cells of a page measure time, in the order in which they are compiled."""

    def __init__(self) -> None:
        self.own: set[str] = set()
        """Functions of the page that measure time where they are called."""

    def __call__(self, cell: ast.AST) -> bool:
        """Tell whether a cell measures time.

        Examples
        --------
        >>> measuring = Measuring()
        >>> define = "def seconds(): return time_interleaved({})"
        >>> [measuring(ast.parse(cell)) for cell in (define, "x = 1", "x = seconds()")]
        [True, False, True]
        """
        found = any(map(self._is_clock, ast.walk(cell)))
        self.own |= {
            node.name
            for node in ast.walk(cell)
            if isinstance(node, ast.FunctionDef) and any(map(self._is_clock, ast.walk(node)))
        }
        return found

    def _is_clock(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        called = node.func
        name: str = getattr(called, "id", "") or getattr(called, "attr", "")
        return name in self.own or bool(project.CLOCKS.fullmatch(name))


def ask_before_cells() -> None:
    """Ask the build to stop the other pages before each cell that measures time.

    Called in the process of a page, which the build started.
    """
    build = Client(os.environ[ADDRESS])
    measuring, is_alone = Measuring(), False

    def ask(cell: ast.Module) -> None:
        nonlocal is_alone
        wanted = measuring(cell)
        if wanted != is_alone:
            is_alone = wanted
            build.send(os.getpid())
            if wanted:
                build.recv()

    cells.before_each(ask)


class Silence:
    """Stops the other pages while one measures time.

    ``lock`` is held meanwhile. The build holds it while it does work of its own, too.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.address = ""

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        """Give the lock away within the block, while the build waits for a page."""
        self.lock.release()
        try:
            yield
        finally:
            self.lock.acquire()

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Listen to pages within the block."""
        with Listener() as listener:
            self.address = str(listener.address)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            yield

    def _accept(self, listener: Listener) -> None:
        with suppress(OSError):  # which is closed
            while True:
                page = listener.accept()
                threading.Thread(target=self._attend, args=(page,), daemon=True).start()

    def _attend(self, page: Connection) -> None:
        with suppress(EOFError, OSError):  # the page has ended
            while True:
                number = page.recv()
                with self.lock, stopped_but(number):
                    page.send(None)
                    page.recv()


@contextmanager
def stopped_but(number: int) -> Iterator[None]:
    """Stop every process that this one started, with all that these started, except one."""
    with ExitStack() as stack:
        found = [one for one in psutil.Process().children() if one.pid != number]
        for process in found:  # which grows
            with suppress(psutil.NoSuchProcess):
                process.suspend()
                stack.callback(_resume, process)
                found += process.children()
        yield


def _resume(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()
