"""Describe what the pages of a build run in, and tell when that changed."""

import datetime as dt
import hashlib
import json
import os
import platform
from pathlib import Path

from smallport import assets, measure
from smallport.files import git, sha256
from tools.gallery import versions
from tools.gallery.project import DOCS, ROOT
from tools.gallery.runs import Environment

RUNNERS = (
    DOCS / "conf.py",
    DOCS / "_ext" / "figures.py",
    DOCS / "_ext" / "pages.py",
    Path(__file__).with_name("execute.py"),
)
"""What a page's output is made by, besides the page and the package."""

SHOWN_VERSIONS = ("torch", "transformers", "onnx-diagnostic", "onnxruntime")


def describe() -> Environment:
    """Describe what the pages of this build run in."""
    machine = measure.this_machine()
    profile, corpus = assets.profile(), assets.corpus().checksum
    installed = {"python": platform.python_version(), **versions.installed()}
    package = ROOT / "src" / "smallport"
    kept = sorted((package / "measured").glob("*.json"))
    sources = {
        str(file.relative_to(ROOT)): sha256(file)
        for file in (*sorted(package.rglob("*.py")), *kept, *RUNNERS)
    }
    published = _published_files() if profile == "published" else []
    state = [sources, installed, profile, corpus, published, machine.int8_dot_products]
    fingerprint = hashlib.sha256(json.dumps(state).encode())
    return Environment(
        commit=_commit(),
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        processor=machine.processor,
        int8_dot_products=machine.int8_dot_products,
        cores=machine.cores,
        versions={name: installed[name] for name in ("python", *SHOWN_VERSIONS)},
        assets=profile,
        corpus=corpus,
        fingerprint=fingerprint.hexdigest(),
    )


def _published_files() -> list[object]:
    """Tell apart the files of the data folder, and the revision asked of the hub."""
    state: list[object] = [os.environ.get(assets.REVISION)]
    if named := os.environ.get(assets.DATA_DIR):
        folder = Path(named).resolve()
        state += [
            (str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns)
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        ]
    return state


def _commit() -> str:
    commit = git(ROOT, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return "none (not a git checkout)"
    return commit + ("+" if git(ROOT, "status", "--porcelain") else "")
