"""The things that a page's run used, by the trace of its processes, and their changes since.

A page is a function of what its processes read. Each thing that they used becomes an entry: its
kind and name, and a short identity that changes when its content does. A run stands as long as
every entry, made again, is the same. A run that used what cannot be told so never stands.
"""

import ast
import hashlib
import importlib.machinery
import importlib.metadata
import json
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from smallport import files, keys
from tools.gallery import project

TRACE = "SMALLPORT_TRACE"
"""The environment variable that names the file in which a page's processes record what they use."""

HARNESS = "SMALLPORT_TRACE_HARNESS"
"""Set for a process in which the gallery runs around the page, and reads its own files."""

RECORDER = Path(__file__).with_name("trace")
"""The first folder on the path of a page's processes."""

OWN = ("smallport", "tools")
"""Our packages, of which each module counts by itself, as the recorder has it."""

SOURCES = (project.ROOT / "src", project.ROOT, project.DOCS / "_ext")
"""The folders of the project's modules."""

GENERATED = (project.BUILD, project.GALLERY, project.DOCS / "api", project.ROOT / ".git")
"""The folders that builds write, from the rest."""

OF_OTHERS = (*(project.BUILD / name for name in ("records", "html", "demo")), project.GALLERY)
"""The folders that hold what the other pages measured, printed and drew."""

HARMLESS = {"ninja", "git", "lscpu", "ldconfig", "uname", "file", "ld", "objdump"}
"""Programs that tell about the machine or the checkout, and change nothing that a page shows."""

COMPILERS = {"cc", "gcc", "g++", "c++", "clang", "clang++"}
"""Programs whose content stands for what they do."""

RECORDED_BY = f"file {(RECORDER / 'sitecustomize.py').relative_to(project.ROOT).as_posix()}"
"""The recorder itself: what another one would record is not known."""

LONGEST = 3
"""The number of causes that a message names."""

GONE = "gone"
WORDS = {"capability": "the processor's ", "gallery": "the gallery's option "}
"""The words before the name of a thing in a message."""


@dataclass(frozen=True)
class Used:
    """Everything that a run used.

    Parameters
    ----------
    entries
        The identity of each thing by its kind and name.
    untold
        Why the run cannot stand for a later one; empty where it can.
    foreign
        The files that other pages or earlier runs left, which are no assets.
    """

    entries: dict[str, str]
    untold: str = ""
    foreign: Sequence[str] = ()

    @classmethod
    def read(cls, file: Path) -> "Used | None":
        """Read back what :meth:`write` wrote; None where it is missing or broken."""
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, file: Path) -> None:
        """Write it into a file."""
        files.write_json(file, asdict(self), indent=0)


@dataclass
class Events:
    """The lines of a trace, by what they tell.

    Parameters
    ----------
    named
        The things by the operation on them.
    processes
        By each process that could record itself, the process that started it.
    started
        The process that started a program, and the program with its arguments.
    """

    named: dict[str, set[str]] = field(default_factory=dict)
    processes: list[tuple[str, str]] = field(default_factory=list)
    started: list[tuple[str, list[str]]] = field(default_factory=list)

    def of(self, kind: str) -> set[str]:
        """List the things with which something was done."""
        return self.named.get(kind, set())


def read_trace(file: Path) -> Events:
    """Read a trace; one that was never written holds nothing."""
    events = Events()
    text = file.read_text(encoding="utf-8", errors="surrogateescape") if file.exists() else ""
    for line in text.split("\n"):
        process, _, rest = line.partition("\t")
        what, _, value = rest.partition("\t")
        if what == "process":
            events.processes.append((process, value.partition(" ")[0]))
        elif what == "start":
            words = ast.literal_eval(_unescaped(value))
            events.started.append((process, [str(word) for word in words if word]))
        elif what:
            events.named.setdefault(what, set()).add(_unescaped(value))
    return events


def _unescaped(value: str) -> str:
    parts = value.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\r", "\r") for part in parts)


@dataclass(frozen=True)
class Places:
    """The folders whose files are identified by their content.

    Parameters
    ----------
    cache
        Where assets are kept.
    scratch
        The page's home and temporary files, which are gone afterwards.
    """

    cache: Path
    scratch: Path | None = None

    def name(self, path: str) -> str:
        """Name a file so that it has the same name wherever project and cache are; empty if known.

        Examples
        --------
        >>> Places(Path("/cache")).name(str(project.ROOT / "README.md"))
        'README.md'
        >>> Places(Path("/cache")).name("/cache/weights.pth")
        '$CACHE/weights.pth'
        """
        file = Path(path)
        if any(file.is_relative_to(one) for one in GENERATED) or (
            self.scratch and file.is_relative_to(self.scratch)
        ):
            return ""
        if file.is_relative_to(self.cache):
            return "/".join(["$CACHE", *file.relative_to(self.cache).parts])
        if file.is_relative_to(project.ROOT):
            return file.relative_to(project.ROOT).as_posix()
        return path

    def asset(self, path: str | Path) -> str:
        """Name the asset in the cache that a file belongs to; empty for files elsewhere.

        Its weights, its record and its lock have one name and different endings.

        Examples
        --------
        >>> Places(Path("/cache")).asset("/cache/hub/models/config.json")
        'hub'
        >>> Places(Path("/cache")).asset("/cache/weights.pth")
        'weights'
        """
        file = Path(path)
        parts = file.relative_to(self.cache).parts if file.is_relative_to(self.cache) else ()
        return parts[0].lstrip(".").partition(".")[0] if parts else ""

    def file(self, name: str) -> Path:
        """Find the file of a name."""
        first, _, rest = name.partition("/")
        if first == "$CACHE":
            return self.cache / rest
        return project.ROOT / name  # an absolute one stays what it is


class World:
    """The present state, looked up once.

    Parameters
    ----------
    places
        The folders.
    settings
        Sets that are compared as wholes, by their kind: variables, options, the machine.
    """

    def __init__(self, places: Places, settings: dict[str, dict[str, str]]) -> None:
        self.places = places
        self.settings = settings
        self.identity = cache(self._identity)

    def collect(self, trace: Path, script: Path) -> Used:
        """Make the entries of everything that a trace tells.

        Parameters
        ----------
        trace
            The trace that the processes of the page recorded.
        script
            The page, whose text is told apart.
        """
        events = read_trace(trace)
        path = sorted(events.of("path"))
        entries = {f"{kind} {name}" for kind, named in self.settings.items() for name in named}
        distributions = {_normalized(name) for name in events.of("distribution")}
        for name in events.of("import"):
            kind = self._kind(name, path)
            if kind == "package":
                distributions |= set(_distributions()[name])
            elif kind == "module" and (owners := self._installed_with(name, path)):
                distributions |= owners
            elif kind:
                entries.add(f"{kind} {name}")
        entries |= {f"package {name}" for name in distributions} | {RECORDED_BY}
        entries |= {f"absent {name}" for name in events.of("absent") if self._is_told_apart(name)}
        looked_for = events.of("look") - events.of("import") - sys.stdlib_module_names
        entries |= {f"present {name}" for name in looked_for if _find(name)}
        entries |= {f"code {name}" for one in events.of("code") if (name := _module_name(one))}
        own = self.places.name(str(script))
        for what, kind in (("read", "file"), ("list", "folder")):
            named = {self.places.name(one) for one in events.of(what)} - {"", own}
            entries |= {f"{kind} {name}" for name in named}
        made = {one: self.identity(one) for one in sorted(entries)}
        foreign = sorted(self._foreign(events, trace.parent))
        return Used(_flat(made), self._untold(events), foreign)

    def _foreign(self, events: Events, own: Path) -> Iterator[str]:
        """Find what a page read of other pages' results, and in the cache besides assets."""
        assets = {self.places.asset(path) for path in events.of("asset")}
        for path in events.of("read") | events.of("list"):
            file, asset = Path(path), self.places.asset(path)
            of_others = any(file.is_relative_to(folder) for folder in OF_OTHERS)
            if of_others and not file.is_relative_to(own):
                yield file.relative_to(project.ROOT).as_posix()
            elif asset and asset not in assets:
                yield f"the cache/{file.relative_to(self.places.cache).as_posix()}"

    def changes(self, used: Used) -> list[str]:
        """Say what has changed since a run, each in a few words.

        Parameters
        ----------
        used
            The things that the run used.
        """
        before = used.entries
        names = {_whole(name) for name in before}
        names |= {f"{kind} {name}" for kind, named in self.settings.items() for name in named}
        now = _flat({name: self.identity(name) for name in sorted(names)})
        every = sorted(before.keys() | now.keys())
        different = [one for one in every if before.get(one) != now.get(one)]
        parts = {_whole(one) for one in different if not one.endswith("#")}
        return [
            _message(one, before.get(one), now.get(one))
            for one in different
            if not (one.endswith("#") and _whole(one) in parts)  # the part says more
        ]

    def _kind(self, name: str, path: list[str]) -> str:
        """Tell what an imported module is known by; empty for those that come with Python."""
        if name.partition(".")[0] in OWN:
            return "code" if keys.module_file(name) else ""
        if name in sys.stdlib_module_names or name in {"__main__", "sitecustomize"}:
            return ""
        if name in _distributions():
            return "package"
        spec = _find(name, *path)
        is_pythons = spec and spec.origin and Path(spec.origin).is_relative_to(sys.base_prefix)
        return "module" if spec and spec.origin and not is_pythons else ""

    @staticmethod
    def _installed_with(name: str, path: list[str]) -> set[str]:
        """Name the distributions of a module that lies inside a package's folder.

        Some packages, such as ``onnxruntime.transformers``, append their folder to ``sys.path``.
        """
        spec = _find(name, *path)
        packages = Path(sysconfig.get_path("purelib"))
        if spec is None or spec.origin is None or not Path(spec.origin).is_relative_to(packages):
            return set()
        package = Path(spec.origin).relative_to(packages).parts[0]
        return set(_distributions().get(package, ()))

    @staticmethod
    def _is_told_apart(name: str) -> bool:
        """Tell whether a missing module could appear although no package changes."""
        package, _, rest = name.partition(".")
        if not rest or package in OWN:
            return package not in sys.stdlib_module_names
        spec = importlib.machinery.PathFinder.find_spec(package)
        return bool(spec and spec.origin is None)  # several distributions may share a namespace

    def _identity(self, entry: str) -> str | dict[str, str]:
        """Make the identity of one entry."""
        kind, _, name = entry.partition(" ")
        if kind in self.settings:
            return self.settings[kind].get(name, GONE)
        makers: dict[str, Callable[[str], str | dict[str, str]]] = {
            "code": _code,
            "module": _module,
            "package": _package,
            "absent": lambda one: "" if _find(one) is None else "here",
            "present": lambda one: "" if _find(one) else GONE,
            "file": lambda one: _content(self.places.file(one)),
            "folder": lambda one: _names(self.places.file(one)),
        }
        return makers[kind](name)

    @staticmethod
    def _untold(events: Events) -> str:
        """Say why a trace does not tell everything; empty where it does."""
        if not events.processes:
            return "its process could not be traced"
        if hosts := sorted(events.of("network")):
            return f"it used the network ({', '.join(hosts[:LONGEST])})"
        starters = [parent for _, parent in events.processes]
        for process, words in events.started:
            program = Path(words[0] if words else "").name
            if program.startswith("python") or program == Path(sys.executable).name:
                if process not in starters:
                    return f"it started a Python that could not be traced: {' '.join(words[:4])}"
                starters.remove(process)
            elif program not in HARMLESS | COMPILERS:
                return f"it started {program or 'a program'}, which cannot be traced"
        return ""


def _flat(entries: dict[str, str | dict[str, str]]) -> dict[str, str]:
    """Give the parts of an entry, such as the functions of a module, entries of their own."""
    found: dict[str, str] = {}
    for name, identity in entries.items():
        if isinstance(identity, str):
            found[name] = identity
        else:
            found |= {f"{name}#{part}": one for part, one in identity.items()}
    return found


def _whole(entry: str) -> str:
    """Name the entry that an entry is a part of: the module of a definition."""
    return entry.partition("#")[0] if entry.startswith("code ") else entry


def _message(name: str, before: str | None, now: str | None) -> str:
    """Say what became of one thing."""
    kind, _, rest = name.partition(" ")
    thing = rest.replace("#", ".").removesuffix(".")
    if kind == "package":
        return _package_message(thing, before, now)
    if kind == "absent":
        return f"{thing} is there now"
    thing = f"{WORDS.get(kind, '')}{thing}"
    if before in {None, GONE} or now in {None, GONE}:
        return f"{thing} was {'added' if before in {None, GONE} else 'removed'}"
    return f"{thing} {before} → {now}" if kind == "system" else f"{thing} changed"


def _package_message(name: str, before: str | None, now: str | None) -> str:
    versions = [(one or GONE).partition(" ")[0] for one in (before, now)]
    if versions[0] == versions[1]:
        return f"{name} {versions[0]} has other files"
    old, new = versions
    if GONE in versions:
        return f"{name} {new} was added" if old == GONE else f"{name} {old} was removed"
    return f"{name} {old} → {new}"


def summary(changes: list[str]) -> str:
    """Join causes to a message, the first few by name.

    Examples
    --------
    >>> summary(["a changed", "b changed", "c changed", "d changed"])
    'a changed, b changed, c changed and 1 more'
    """
    more = len(changes) - LONGEST
    return ", ".join(changes[:LONGEST]) + (f" and {more} more" if more > 0 else "")


def _module_name(path: str) -> str:
    """Name one of our modules by its file; empty for other files."""
    for folder in (project.ROOT / "src", project.ROOT):
        if Path(path).is_relative_to(folder):
            parts = Path(path).relative_to(folder).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            return name if parts[0] in OWN else ""
    return ""


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _content(file: Path) -> str:
    try:
        return files.sha256(file)[:16]
    except OSError:
        return GONE


def _names(folder: Path) -> str:
    try:
        names = sorted(one.name for one in folder.iterdir() if one.name != "__pycache__")
    except OSError:
        return GONE
    return _short("\0".join(names).encode("utf-8", "surrogateescape"))


def _code(name: str) -> str | dict[str, str]:
    """Digest each definition of one of our modules, and the statements between them."""
    file = keys.module_file(name)
    if file is None:
        return GONE
    return keys.definition_digests(file)


def _module(name: str) -> str:
    """Digest a module that belongs to no distribution: its code, or all files of a package."""
    spec = _find(name)
    if spec is None or spec.origin is None:
        return GONE
    file = Path(spec.origin)
    if file.name != "__init__.py":
        return keys.code_digest(file)[:16] if file.suffix == ".py" else _content(file)
    contents = (_content(one) for one in sorted(file.parent.rglob("*.py")))
    return _short("".join(contents).encode())


def _package(name: str) -> str:
    """Tell a distribution by its version and by the list of its files with their checksums."""
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return GONE
    record = found.read_text("RECORD") or found.read_text("METADATA") or ""
    return f"{found.version} {_short(record.encode())}"


def _find(name: str, *folders: str) -> importlib.machinery.ModuleSpec | None:
    """Find a module without importing it or the packages that it lies in."""
    path: list[str] | None = [*map(str, SOURCES), *sys.path, *folders]
    spec = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:end]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    return spec


@cache
def _distributions() -> dict[str, list[str]]:
    """Map each top-level module to the distributions that it comes from, our own left out."""
    found = importlib.metadata.packages_distributions()
    return {
        name: sorted({_normalized(one) for one in owners})
        for name, owners in found.items()
        if name not in OWN
    }


def _normalized(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").lower()


def snapshot() -> dict[Path, tuple[int, int]]:
    """Note when each of our own source files was last written, to see edits while pages run."""
    return {
        file: (file.stat().st_mtime_ns, file.stat().st_size)
        for folder in (project.ROOT / "src", project.ROOT / "tools", project.DOCS / "_ext")
        for file in folder.rglob("*")
        if file.is_file() and file.parent.name != "__pycache__"
    }


def edited(before: dict[Path, tuple[int, int]], used: Iterable[str]) -> list[str]:
    """Name those used files that were written since a snapshot, even if they are as they were.

    Parameters
    ----------
    before
        The snapshot.
    used
        Entries of a run.
    """
    now = snapshot()
    touched = {file for file in before.keys() | now.keys() if before.get(file) != now.get(file)}
    if not touched:
        return []
    own = {keys.module_file(one.removeprefix("code ").partition("#")[0]) for one in used}
    names = {one.removeprefix("file ") for one in used if one.startswith("file ")}
    return sorted(
        project.name_of(file) for file in touched if file in own or project.name_of(file) in names
    )
