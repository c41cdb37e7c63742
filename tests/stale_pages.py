"""Say which pages would run again after each of some changes, in a copy of the project.

Run as ``python stale_pages.py FILE`` in the copy. The file holds a list of changes in JSON, and
gets the reasons by page for each. No page runs.
"""

import ast
import importlib.metadata
import json
import os
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

from smallport import keys
from tools.gallery import environment, execute, project, used


@contextmanager
def edited(file, old, new):
    """Replace a passage of a file of the copy."""
    place = project.ROOT / file
    before = place.read_bytes()
    text = before.decode()
    assert old in text, f"{file} holds no {old!r} any more: fix this change"
    place.write_text(text.replace(old, new, 1))
    try:
        yield
    finally:
        place.write_bytes(before)


def first_line_of(file, name):
    """Find the line and the indentation of the first statement in a function or class."""
    tree = ast.parse((project.ROOT / file).read_text())
    for part in name.split("."):
        tree = next(node for node in tree.body if getattr(node, "name", "") == part)
    first = tree.body[1] if len(tree.body) > 1 and ast.get_docstring(tree) else tree.body[0]
    return first.lineno - 1, first.col_offset, tree.lineno - 1, tree.col_offset


@contextmanager
def inserted(file, name, code, *, before=False):
    """Put a line of code first into a function or class, or before it."""
    inside, depth, outside, margin = first_line_of(file, name)
    place = project.ROOT / file
    text = place.read_text()
    lines = text.splitlines(keepends=True)
    if before:
        lines.insert(outside, " " * margin + code + "\n")
    else:
        lines.insert(inside, " " * depth + code + "\n")
    place.write_text("".join(lines))
    try:
        yield
    finally:
        place.write_text(text)


def raising(file, name):
    """Have a function raise an error as its first statement."""
    return inserted(file, name, "raise RuntimeError")


def decorated(file, name):
    """Decorate a function or class."""
    return inserted(file, name, "@decorator", before=True)


def attributed(file, name):
    """Give a class an attribute more."""
    return inserted(file, name, "attribute_more = 1")


@contextmanager
def appended(file, text):
    """Put some text at the end of a file."""
    place = project.ROOT / file
    before = place.read_bytes()
    place.write_bytes(before + text.encode())
    try:
        yield
    finally:
        place.write_bytes(before)


@contextmanager
def added(file, text):
    """Add a file to the copy."""
    place = project.ROOT / file
    assert not place.exists(), file
    place.write_text(text)
    try:
        yield
    finally:
        place.unlink()


@contextmanager
def appeared(module):
    """Install a distribution with a module of its name."""
    folder = project.ROOT / f"with_{module}"
    described = folder / f"{module}-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (described / "RECORD").write_text(f"{module}.py,,\n")
    (folder / f"{module}.py").touch()
    with mock.patch.object(sys, "path", [*sys.path, str(folder)]):
        yield


@contextmanager
def released(package, version=None):
    """Replace a distribution by one of another version, or of the same with other files."""
    find = importlib.metadata.distribution
    real = find(package)

    class Other:
        def read_text(self, _):
            return "other files"

    Other.version = version or real.version
    with mock.patch.object(
        importlib.metadata, "distribution", lambda one: Other() if one == package else find(one)
    ):
        yield


@contextmanager
def capability(name):
    """Give the processor a capability more."""
    text = environment.CPUINFO.read_text().replace("flags\t\t:", f"flags\t\t: {name}")
    text = text.replace("Features\t:", f"Features\t: {name}")
    file = project.ROOT / "cpuinfo"
    file.write_text(text)
    with mock.patch.object(environment, "CPUINFO", file):
        yield


@contextmanager
def variable(name, value):
    """Set an environment variable, or unset it."""
    others = {one: text for one, text in os.environ.items() if one != name}
    with mock.patch.dict(os.environ, others | ({name: value} if value else {}), clear=True):
        yield


@contextmanager
def cores(number):
    """Have another number of cores."""
    with mock.patch.object(environment, "usable_cores", return_value=number):
        yield


KINDS = {
    one.__name__: one
    for one in (
        *(edited, raising, decorated, attributed, appended, added),
        *(appeared, released, capability, variable, cores),
    )
}


def stale():
    """Say why each page would run again now; pages that would not are left out."""
    keys.module_file.cache_clear()
    now = execute.world()
    reasons = {script.stem: execute.why_stale(script, now) for script in project.scripts()}
    return {page: reason for page, reason in reasons.items() if reason}


def main(file):
    """Try each change by itself, between two looks at the unchanged copy."""
    found = [stale()]
    for kind, *arguments in json.loads(file.read_text()):
        with ExitStack() as stack:
            stack.enter_context(KINDS[kind](*arguments))
            found.append(stale())
    file.write_text(json.dumps([*found, stale()]))


if __name__ == "__main__":
    # The copy's own path is no setting of the build whose records it has.
    for name in ("PYTHONPATH",):
        os.environ.pop(name, None)
        if f"BUILD_{name}" in os.environ:
            os.environ[name] = os.environ.pop(f"BUILD_{name}")
    assert Path(used.__file__).is_relative_to(Path.cwd()), "the copy has to come first on the path"
    main(Path(sys.argv[1]))
