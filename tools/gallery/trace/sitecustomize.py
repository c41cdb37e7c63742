"""Record what a page's process uses, and every Python process that it starts.

The folder of this file is the first one on ``PYTHONPATH`` of a page's process, so that Python
imports it at its start, before anything else of the page; child processes inherit the path. Each
use is one line, appended at once to the file that ``SMALLPORT_TRACE`` names, so that neither
``os._exit`` nor a signal loses it: the number of the process, what it did, and with what.
``tools.gallery.used`` reads them.
"""

import importlib.machinery
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is slow to import
OWN = ("smallport", "tools")
"""Packages of which each module counts by itself; of others, the distribution does."""

UNRECORDED = (
    *{os.path.join(prefix, "") for prefix in (sys.prefix, sys.base_prefix) if prefix != "/"},  # noqa: PTH118
    *("/proc/", "/sys/", "/dev/"),
)
"""Folders whose files are known by the versions of packages and of Python, or are none."""

LIBRARY = os.path.dirname(os.__file__)  # noqa: PTH120
IMPORT_SYSTEM = ("<frozen importlib", os.path.join(LIBRARY, "importlib", "metadata"))  # noqa: PTH118
"""The code that opens and lists what belongs to modules and distributions, which have names."""

SHUTIL = os.path.join(LIBRARY, "shutil.py")  # noqa: PTH118
PATHLIB = os.path.join(LIBRARY, "pathlib")  # noqa: PTH118
KEYS = os.path.join("smallport", "keys.py")  # noqa: PTH118
"""The module that reads code for what it computes, without comments and docstrings."""

CACHE = os.path.join(os.path.abspath(os.environ.get("SMALLPORT_CACHE_DIR") or "/dev/null"), "")  # noqa: PTH100, PTH118
ASSETS = os.path.join("smallport", "assets", "")  # noqa: PTH118
"""The modules that make, check and find what is in the cache; what only others use is no asset."""

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
STARTS = {"os.exec", "os.spawn", "os.posix_spawn", "os.startfile"}
FILES = {"open", "os.listdir", "os.scandir", "os.rename"}
CONNECTS = {"socket.connect", "socket.sendto", "socket.getaddrinfo"}


class Trace:
    """Appends lines to a file, none of them twice.

    Parameters
    ----------
    file
        The file.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.seen: set[tuple[str, str]] = set()
        self.is_harness = "SMALLPORT_TRACE_HARNESS" in os.environ
        """Whether what opens files is not the page: it is the gallery around it."""
        self.reopen()

    def reopen(self) -> None:
        """Open the file, in a forked process once more."""
        self.descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, what: str, value: str) -> None:
        """Append a line, unless this process has appended it before."""
        if (what, value) not in self.seen:
            self.seen.add((what, value))
            self.append(what, value)

    def append(self, what: str, value: str) -> None:
        """Append a line."""
        text = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        line = f"{os.getpid()}\t{what}\t{text}\n".encode("utf-8", "surrogateescape")
        try:
            os.write(self.descriptor, line)
        except OSError:  # somebody closed all files
            self.reopen()
            os.write(self.descriptor, line)

    def begin(self) -> None:
        """Say that the page itself begins to run."""
        self.is_harness = False

    def end(self) -> None:
        """Say that the page itself came to its end."""
        self.is_harness = True

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        """Note what an audit event says."""
        if event in FILES:
            if not self.is_harness:
                self.note_file(event, arguments)
        elif event == "subprocess.Popen":
            program, words, *_ = arguments
            self.append("start", repr([program, *_words(words)]))
        elif event in STARTS:
            self.append("start", repr(_words(arguments)))
        elif event == "os.system":
            self.append("start", repr(["sh", "-c", os.fsdecode(arguments[0])]))  # type: ignore[arg-type]
        elif event in CONNECTS and not self.is_harness:
            self.note_connection(event, arguments)

    def note_file(self, event: str, arguments: tuple[object, ...]) -> None:
        """Note that a file or folder is opened, listed, or given a name."""
        if event == "open":
            self.note_open(*arguments)  # type: ignore[arg-type]
        elif event == "os.rename":
            self.note_path("write", arguments[1])
        elif not self.caller().startswith(IMPORT_SYSTEM):
            self.note_path("list", arguments[0] or ".")

    def note_open(self, path: object, mode: str | None, flags: int) -> None:
        """Note that a file is read, or written."""
        caller = self.caller()
        is_below_a_descriptor = mode is None and caller == SHUTIL  # as rmtree goes, by names alone
        if isinstance(path, int) or caller.startswith(IMPORT_SYSTEM) or is_below_a_descriptor:
            return
        is_written = flags & WRITES or any(letter in "wax+" for letter in mode or "")
        is_code = caller.endswith(KEYS)
        self.note_path("write" if is_written else "code" if is_code else "read", path)

    def note_path(self, what: str, path: object) -> None:
        """Note what is done with a file or folder, unless it is known otherwise."""
        if isinstance(path, int):
            return
        place = os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]  # noqa: PTH100
        if place.startswith(CACHE) and self.is_for_an_asset():
            self.note("asset", place)
        if not place.startswith(UNRECORDED):
            self.note(what, place)

    def note_connection(self, event: str, arguments: tuple[object, ...]) -> None:
        """Note that the network is used; a socket without an internet address is none."""
        if event == "socket.getaddrinfo":
            self.note("network", str(arguments[0]))
        elif isinstance(arguments[1], tuple):
            self.note("network", str(arguments[1][0]))

    @staticmethod
    def is_for_an_asset() -> bool:
        """Tell whether a module for assets opens or lists something, itself or by what it calls."""
        frame = sys._getframe(2)  # noqa: SLF001 - the way to see who calls
        while frame and ASSETS not in frame.f_code.co_filename:
            frame = frame.f_back  # type: ignore[assignment]
        return frame is not None

    @staticmethod
    def caller() -> str:
        """Name the file whose code opens or lists something."""
        frame = sys._getframe(2)  # noqa: SLF001 - the way to see who calls
        while frame.f_back and frame.f_code.co_filename.startswith((__file__, PATHLIB)):
            frame = frame.f_back
        return frame.f_code.co_filename


def _words(command: object) -> list[str]:
    if isinstance(command, str | bytes | os.PathLike):
        return [os.fsdecode(command)]
    if isinstance(command, list | tuple):
        return [word for part in command for word in _words(part)]
    return []


class Asked:
    """The first finder of modules, which finds nothing and notes the names that are asked for."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Note the name of a module, and whether it is imported or only looked for."""
        del path, target
        package = name.partition(".")[0]
        is_looked_for = sys._getframe(2).f_code.co_name == "find_spec"  # noqa: SLF001 - importlib.util's
        kind = "look" if is_looked_for and package not in OWN else "import"
        self.trace.note(kind, name if package in OWN else package)

    def find_distributions(self, context: object) -> tuple[()]:
        """Note the name of a distribution whose version or files are asked for."""
        if name := getattr(context, "name", None):
            self.trace.note("distribution", name)
        return ()

    def invalidate_caches(self) -> None:
        """Do nothing: nothing is cached."""


class Absent:
    """The last finder of modules, which notes the names that none of them found."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Note the name of a module that is not there."""
        del path, target
        self.trace.note("absent", name)

    def invalidate_caches(self) -> None:
        """Do nothing: nothing is cached."""


def start(file: str) -> Trace:
    """Begin to record this process."""
    trace = Trace(file)
    trace.append("process", f"{os.getppid()} {sys.executable}")
    for folder in sys.path:
        trace.note("path", folder)
    asked = Asked(trace)
    for name in list(sys.modules):
        trace.note("import", name if name.partition(".")[0] in OWN else name.partition(".")[0])
    sys.meta_path.insert(0, asked)
    sys.meta_path.append(Absent(trace))
    os.register_at_fork(after_in_child=trace.reopen)
    sys.addaudithook(trace.hook)
    return trace


def run_next() -> None:
    """Run the ``sitecustomize`` that this one hides, if there is one."""
    others = [folder for folder in sys.path if os.path.abspath(folder) != HERE]  # noqa: PTH100
    spec = importlib.machinery.PathFinder.find_spec(__name__, others)
    if TRACE and not spec:
        TRACE.note("absent", __name__)
    if spec and spec.loader and spec.origin:
        if TRACE:
            TRACE.note("read", spec.origin)
        module = type(sys)(spec.name)
        module.__file__ = spec.origin
        spec.loader.exec_module(module)


TRACE = start(os.environ["SMALLPORT_TRACE"]) if "SMALLPORT_TRACE" in os.environ else None
os.environ.pop("SMALLPORT_TRACE_HARNESS", None)  # what the page starts is the page's
run_next()
