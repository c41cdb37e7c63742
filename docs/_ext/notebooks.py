"""Turn Sphinx's roles into Markdown in the notebooks that the gallery makes.

Sphinx-Gallery converts a page's text for its notebook but leaves roles as they are. A notebook has
no Sphinx to resolve them: names become code, links lead to the site, cited figures lose their mark.
"""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from tools.gallery import files, install

ROLE = re.compile(
    r":(?P<role>[\w:]+):`(?:(?P<label>[^`<]+?)\s*<(?P<target>[^`>]+)>|(?P<text>[^`]+))`"
)
REFERENCE = re.compile(r"(?<!`)`(?P<label>[^`<]+?)\s*<(?P<target>[\w-]+)>`(?![`_])")
"""What Sphinx-Gallery leaves of the role ``ref``: a label and the name of its target."""


def convert_all(app: Sphinx) -> None:
    """Convert every notebook of the gallery, and those in its archives."""
    gallery = Path(app.srcdir) / "gallery"
    address = app.config.html_baseurl
    for notebook in gallery.rglob("*.ipynb"):
        place = notebook.relative_to(app.srcdir).parent.as_posix()
        made = notebook.read_bytes()
        content = converted(made, f"{address}{place}/", address)
        if content != made:
            files.write_bytes(notebook, content)
    for archive in gallery.rglob("*.zip"):
        refresh(archive)


def converted(notebook: bytes, here: str, root: str) -> bytes:
    """Convert the roles in a notebook's text, and complete its first cell, which installs.

    Parameters
    ----------
    notebook
        The notebook, as JSON.
    here, root
        Addresses that relative and absolute links start from.
    """
    content = json.loads(notebook)
    complete_install(content["cells"])
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            text = ROLE.sub(lambda role: markdown(role, here, root), text)
            cell["source"] = [REFERENCE.sub(lambda one: " ".join(one["label"].split()), text)]
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def complete_install(cells: list[dict[str, Any]]) -> None:
    """Have the first cell install what the others import; conf.py gives it the wheel's address."""
    command = "%pip install "
    first, *others = ["".join(cell["source"]) for cell in cells]
    if first.startswith(f"{command}http"):
        codes = [
            code
            for code, cell in zip(others, cells[1:], strict=True)
            if cell["cell_type"] == "code"
        ]
        wheel = first.removeprefix(command).strip()
        cells[0]["source"] = [command + install.arguments("\n".join(codes), wheel)]


def markdown(role: re.Match[str], here: str, root: str) -> str:
    """Write one role in Markdown."""
    label = " ".join((role["label"] or role["text"]).split())
    if role["role"] == "doc" and role["target"]:
        target = role["target"]
        address = f"{root}{target[1:]}" if target.startswith("/") else f"{here}{target}"
        return f"[{label}]({address}.html)"
    if role["role"] in {"doc", "published", "ref"}:
        return label
    return f"`{label.rpartition('.')[2] if label.startswith('~') else label}`"


def refresh(archive: Path) -> None:
    """Put the converted notebooks into an archive, in place of what the gallery put there."""
    with zipfile.ZipFile(archive) as old:
        members = {name: old.read(name) for name in old.namelist()}
    current = {name: archive.parent / name for name in members if name.endswith(".ipynb")}
    fresh = {name: file.read_bytes() for name, file in current.items() if file.exists()}
    if any(members[name] != content for name, content in fresh.items()):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as new:
            for name, member in (members | fresh).items():
                new.writestr(name, member)
        files.write_bytes(archive, content.getvalue())


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect after the gallery made its notebooks (at 500)."""
    app.connect("builder-inited", convert_all, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
