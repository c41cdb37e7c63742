"""Name cached results by keys of everything that they depend on, code included."""

import ast
import hashlib
import importlib.util
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_PARSING = threading.Lock()
"""Before Python 3.12, ``ast.parse`` fails in threads that run side by side (gh-106905)."""


def key_of(*parts: str) -> str:
    """Name a cached result after its parts, in 16 hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def code_key(*modules: str) -> str:
    """Name a cached result after the code of some modules and all of ours that they import.

    Docstrings and comments do not count. Modules of other distributions are left out; add their
    versions to the key.

    Examples
    --------
    >>> code_key("smallport.lstm.training") == code_key("smallport.tiny_llm")
    False
    """
    files = import_closure(modules)
    return key_of(*(f"{name} {code_digest(file)}" for name, file in sorted(files.items())))


def import_closure(modules: Iterable[str]) -> dict[str, Path]:
    """Find the files of some modules and all modules of the same packages that they import.

    Imports inside of functions count, and so do the packages that a module lies in. Imports
    under ``if TYPE_CHECKING`` do not.

    Examples
    --------
    >>> sorted(import_closure(["smallport.quantities"]))
    ['smallport', 'smallport.quantities', 'smallport.records']
    """
    waiting, found = list(modules), {}
    packages = {name.partition(".")[0] for name in waiting}
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] not in packages:
            continue
        if file := module_file(name):
            found[name] = file
            waiting += imported_names(name, file)
    return found


@cache
def module_file(name: str) -> Path | None:
    """Find the source of a module without importing it or its package; None for other names."""
    package, _, rest = name.partition(".")
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        place = Path(folder, *rest.split(".")) if rest else Path(folder)
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                return file
    return None


def imported_names(name: str, file: Path) -> Iterator[str]:
    """List what a module imports, and the packages that it lies in; some may not be modules."""
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts)))
    for node in ast.walk(_WithoutTypeChecking().visit(_parse(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [] if not node.level else parts[: len(parts) - node.level]
            if node.level and file.name == "__init__.py":
                base = parts[: len(parts) - node.level + 1]
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


class _WithoutTypeChecking(ast.NodeTransformer):
    """Leave out what only type checkers read; no program imports it."""

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else node


def code_digest(file: Path) -> str:
    r"""Compute the SHA-256 of a file's code, without docstrings, comments and layout.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     one, other = Path(folder, "one.py"), Path(folder, "other.py")
    ...     _ = one.write_text("def f():\n    'Give 1.'\n    return 1\n")
    ...     _ = other.write_text("def f(): return (1)  # as documented\n")
    ...     code_digest(one) == code_digest(other)
    True
    """
    return _digest(_without_docstrings(_parse(file)))


def definition_digests(file: Path) -> dict[str, str]:
    """Digest a module definition by definition.

    Returns
    -------
    dict
        A digest for each function, class and constant of the module by its name, in 16 digits; and
        by an empty name, one of everything else, the order of the definitions included.
    """
    found: dict[str, str] = {}
    rest: list[str] = []
    for node in _without_docstrings(_parse(file)).body:
        name = _defined(node)
        rest.append(f"= {name}" if name else ast.dump(node))
        if name:  # a name that is defined twice has both definitions
            found[name] = _digest(node) if name not in found else key_of(found[name], _digest(node))
    return {name: digest[:16] for name, digest in found.items()} | {"": key_of(*rest)}


def _defined(node: ast.stmt) -> str:
    """Name what a statement defines, if it is a function, a class or one variable."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    only = targets[0] if len(targets) == 1 else None
    is_assignment = isinstance(node, ast.Assign | ast.AnnAssign)
    return only.id if is_assignment and isinstance(only, ast.Name) else ""


def _parse(file: Path) -> ast.Module:
    with _PARSING:
        return ast.parse(file.read_bytes())


def _digest(node: ast.AST) -> str:
    return hashlib.sha256(ast.dump(node).encode()).hexdigest()


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_string(part)]
    return tree


def _is_string(node: ast.stmt) -> bool:
    """Tell whether a statement is a bare string, as docstrings are."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
