"""Link to other projects' documentation where it can be had, and leave links out where it cannot.

Sphinx warns when an inventory cannot be fetched, which fails a build that takes warnings as errors
although nothing is wrong with it. This extension tries each inventory beforehand: one that answers
is kept for a week, one that does not is left out. A reference that then has no target is a plain
literal if the name can be imported, and stays an error if it cannot, or if it is a name of this
package, which has to be documented.
"""

import importlib
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from smallport import files

logger = logging.getLogger(__name__)

OWN = "smallport"
KEEP_SECONDS = 7 * 24 * 3600
RETRY_SECONDS = 24 * 3600
TIMEOUT_SECONDS = 5


def keep_reachable(app: Sphinx, config: Config) -> None:
    """Point ``intersphinx_mapping`` at local copies, and drop what cannot be fetched."""
    folder = Path(app.outdir).parent / "inventories"
    folder.mkdir(parents=True, exist_ok=True)
    mapping = config.intersphinx_mapping
    with ThreadPoolExecutor() as pool:
        copies = pool.map(lambda item: fetch(item[0], item[1][0], folder), mapping.items())
        config.intersphinx_mapping = {
            name: (mapping[name][0], str(copy))
            for name, copy in zip(mapping, copies, strict=True)
            if copy is not None
        }
    missing = sorted(mapping.keys() - config.intersphinx_mapping.keys())
    if missing:
        logger.info("without links to %s: their inventories cannot be had", ", ".join(missing))


def fetch(name: str, url: str, folder: Path) -> Path | None:
    """Download an inventory unless a recent copy, or a recent failure, is on record."""
    copy, failure = folder / f"{name}.inv", folder / f"{name}.unreachable"
    if _age(copy) < KEEP_SECONDS:
        return copy
    if _age(failure) < RETRY_SECONDS:
        return None
    try:
        with urllib.request.urlopen(f"{url}/objects.inv", timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310 - https, from conf.py
            content = reply.read()
    except OSError:
        failure.touch()
        return None
    files.write_bytes(copy, content)
    return copy


def _age(file: Path) -> float:
    return time.time() - file.stat().st_mtime if file.exists() else float("inf")


def literal_if_importable(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement
) -> nodes.TextElement | None:
    """Show a Python name without a target as it is, if there is such a thing."""
    target = node["reftarget"]
    foreign = target.partition(".")[0] != OWN
    return contnode if node.get("refdomain") == "py" and foreign and can_import(target) else None


def can_import(name: str) -> bool:
    """Tell whether a dotted name is that of a builtin, a module, or something in one."""
    if not name:
        return False
    parts = name.split(".")
    for length in range(len(parts), -1, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]) or "builtins")
        except ImportError:
            continue
        try:
            for part in parts[length:]:
                found = getattr(found, part)
        except AttributeError:
            continue
        return True
    return False


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect before intersphinx reads its mapping, and after it looked for targets."""
    app.connect("config-inited", keep_reachable, priority=100)
    app.connect("missing-reference", literal_if_importable, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
