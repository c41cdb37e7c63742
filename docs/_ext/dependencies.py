"""Have a document read again when, and only when, something that it shows has changed.

Sphinx compares dates, and knows the files that a document includes. Here it is told what else a
document is made of, and all of it is compared by content: a file that has its old date again counts
as what it is.

- An API page shows what its module and all of ours that it imports say: a default value may be
  defined in one and shown in another. It also lists the examples that use its object.
- The overview of the API shows the first sentence of everything.
"""

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from smallport import files, keys
from tools.gallery import project, settings

API = "api"
PACKAGE = "smallport"
DIGESTS = "smallport_digests"
"""The attribute of Sphinx's environment that says, by document, what each of its files held."""


def note_modules(env: BuildEnvironment, *names: str) -> None:
    """Have the current document depend on some modules, and on all of ours that they import."""
    waiting, found = list(names), set()
    while waiting:
        name = waiting.pop()
        if name not in found and name.partition(".")[0] == PACKAGE:
            found.add(name)
            waiting += imports(name)
            if file := keys.module_file(name):
                env.note_dependency(str(file))


@cache
def imports(name: str) -> tuple[str, ...]:
    """List what a module imports; nothing for other names."""
    file = keys.module_file(name)
    return tuple(keys.imported_names(name, file)) if file else ()


def note_documented(app: Sphinx, docname: str, source: list[str]) -> None:
    """Note the modules that an API page is about, and the examples that it lists."""
    if docname == API:
        for file in (project.ROOT / "src" / PACKAGE).rglob("*.py"):
            app.env.note_dependency(str(file))
    if docname.startswith(f"{API}/"):
        name = docname.removeprefix(f"{API}/")
        note_modules(app.env, name.rpartition(".")[0])
        backreferences = project.GALLERY / "backreferences"
        app.env.note_dependency(str(backreferences / f"{name}.examples"))


def note_defining(app: Sphinx, what: str, name: str, documented: Any, *_: Any) -> None:
    """Note the module in which an object is defined, which may have another name."""
    if isinstance(module := getattr(documented, "__module__", None), str):
        note_modules(app.env, module)


def changed_content(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> Iterable[str]:
    """Find the documents that are made of something else than when they were read."""
    before = getattr(env, DIGESTS, {})
    return [name for name, held in digests(env).items() if before.get(name) != held]


def keep_digests(app: Sphinx, env: BuildEnvironment) -> None:
    """Keep what each document was made of."""
    setattr(env, DIGESTS, digests(env))


def digests(env: BuildEnvironment) -> dict[str, dict[str, str]]:
    """Describe, by document, the content of each file that it is made of."""
    return {
        name: {
            str(file): digest(Path(env.srcdir, file))
            for file in (env.doc2path(name), *env.dependencies.get(name, ()))
        }
        for name in env.all_docs
    }


@cache
def digest(file: Path) -> str:
    """Compute the SHA-256 of a file once: as it was before Sphinx read it, if it was known then."""
    return files.sha256(file) if file.is_file() else ""


def keep_stubs(app: Sphinx) -> None:
    """Leave the generated pages of the API as they are: making them imports all that there is."""
    if os.environ.get(settings.STUBS_CURRENT):
        app.config.autosummary_generate = False


def generate_stubs(app: Sphinx) -> None:
    """Put the setting back, which Sphinx compares with the next build's."""
    app.config.autosummary_generate = True


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect around the making of stubs (at 500), and to the reading of documents."""
    app.connect("builder-inited", keep_stubs, priority=100)
    app.connect("builder-inited", generate_stubs, priority=900)
    app.connect("source-read", note_documented)
    app.connect("autodoc-process-docstring", note_defining)
    app.connect("env-get-outdated", changed_content)
    app.connect("env-updated", keep_digests)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
