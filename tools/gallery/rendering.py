"""Have Sphinx write the site, unless it lies there as it would be written again.

Sphinx reads again what has changed, and then writes every page: what one page shows of the others,
such as their titles, neighbours and search entries, is right without anybody keeping account of it.
Where nothing has changed at all, it is not started.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from smallport import files
from tools.downloads import bundle
from tools.gallery import project, settings

DOCTREES = project.BUILD / "doctrees"
STUBS = project.DOCS / "api"
LAST_GOOD = project.BUILD / "last_good.json"
"""Says what the last build was made of and what it made, if it passed."""

STRICT = ["--nitpicky", "--fail-on-warning", "--keep-going"]
BUILT = ("records", "wheel", "demo")
"""The contents of the build's folder before Sphinx is started."""

COMMIT_DATE = "commit date"
VARIABLES = (*settings.ADDRESSES, "SOURCE_DATE_EPOCH")


def site_key() -> dict[str, str]:
    """Describe all that the site is made of, by name."""
    packages = (one.name for folder in sys.path for one in Path(folder).glob("*.dist-info"))
    return {
        **contents(sources()),
        **{name: os.environ.get(name, "") for name in VARIABLES},
        "packages": "\n".join([sys.version, *sorted(packages)]),
        "documents": "\n".join(map(project.name_of, documents())),
        COMMIT_DATE: str(bundle.timestamp()),
    }


def sources() -> list[Path]:
    """List the files that the site is made of."""
    docs = [file for file in files_in(project.DOCS) if not is_generated(file)]
    others = [project.ROOT / name for name in ("src", "tools", "examples")]
    listed = [project.ROOT / name for name in ("pyproject.toml", "constraints.txt")]
    return [*docs, *listed, *files_in(*others, *(project.BUILD / name for name in BUILT))]


def documents() -> list[Path]:
    """List what becomes a document."""
    headers = project.EXAMPLES.rglob("GALLERY_HEADER.rst")
    return sorted([*project.DOCS.glob("*.rst"), *headers, *project.scripts()])


def made() -> dict[str, str]:
    """Describe all that Sphinx wrote, with the inventories that it fetched."""
    written = (project.BUILD / name for name in ("html", "inventories"))
    return contents(files_in(project.GALLERY, STUBS, *written))


def is_generated(file: Path) -> bool:
    """Tell whether the build wrote a file below ``docs``."""
    return any(folder in file.parents for folder in (project.BUILD, project.GALLERY, STUBS))


def files_in(*folders: Path) -> list[Path]:
    """List the files in some folders, at any depth."""
    return [
        file
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.parent.name != "__pycache__"
    ]


def contents(chosen: Iterable[Path]) -> dict[str, str]:
    """Compute the checksum of each file, by its name."""
    return {project.name_of(file): files.sha256(file) for file in chosen}


def last_good() -> dict[str, Any]:
    """Read what the last build was made of and what it made; nothing where it did not pass."""
    try:
        found: dict[str, Any] = json.loads(LAST_GOOD.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def note_good(key: dict[str, str], began: float) -> None:
    """Note that a site was made which passed.

    Nothing is noted where a file was written meanwhile: Sphinx may have read what it held for a
    moment.
    """
    if not any(file.stat().st_mtime > began for file in sources()):
        files.write_json(LAST_GOOD, {"key": key, "made": made()})


def is_current(key: dict[str, str]) -> bool:
    """Tell whether the site was made of the same, passed, and lies there as it was written."""
    return last_good() == {"key": key, "made": made()}


def clean_unless_current(key: dict[str, str], site: Path) -> dict[str, str]:
    """Delete what must not be used again; give the variables for Sphinx's process.

    The documents that were read stay, unless something changed of which Sphinx does not know which
    documents it concerns, or the last build did not pass: warnings are not repeated for a document
    that is not read again.
    """
    last = last_good()
    LAST_GOOD.unlink(missing_ok=True)
    shutil.rmtree(site, ignore_errors=True)
    changed = changed_parts(last.get("key", {}), key)
    if not last or any(map(concerns_everything, changed)):
        for folder in (DOCTREES, STUBS):
            shutil.rmtree(folder, ignore_errors=True)
        return {}
    stubs = {name: held for name, held in last["made"].items() if name.startswith("docs/api/")}
    same = not any(map(concerns_stubs, changed)) and stubs == contents(files_in(STUBS))
    return {settings.STUBS_CURRENT: "1"} if same else {}


def changed_parts(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Name what differs, was added or has gone."""
    names = before.keys() | after.keys()
    return {name for name in names if before.get(name) != after.get(name)}


def concerns_everything(name: str) -> bool:
    """Tell whether every document may depend on a part of the key."""
    if "/" in name:
        return name.startswith(("tools/", "docs/_ext/", "docs/conf.py", "docs/api.rst"))
    return name != COMMIT_DATE


def concerns_stubs(name: str) -> bool:
    """Tell whether the generated pages of the API depend on a part of the key."""
    return name.startswith(("src/", "docs/_templates/autosummary/"))


def run_sphinx(builder: str, key: dict[str, str]) -> int:
    """Run Sphinx; return its exit status."""
    site = project.BUILD / builder
    variables = clean_unless_current(key, site)
    command = [sys.executable, "-m", "sphinx", *STRICT, "-b", builder, "-d", str(DOCTREES)]
    return subprocess.run(
        [*command, str(project.DOCS), str(site)], check=False, env=os.environ | variables
    ).returncode
