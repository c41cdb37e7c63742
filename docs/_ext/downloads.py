"""Complete what the site offers for download, once the site is written.

The gallery copies a page's script from ``examples/``, and converts its text for the
notebook in part. What else they need to run elsewhere is known to the build alone (the address of
the wheel, the versions), so it is added to the copies that the site offers: the script gets inline
metadata, the notebook a first cell that installs the same, and archives hold what is complete.

Sphinx-Gallery leaves Sphinx's roles in a notebook as they are, where nothing resolves them. They
become Markdown: names are code, links lead to the site, cited figures lose their mark.
"""

import json
import posixpath
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from smallport import files
from tools.downloads import bundle, install
from tools.downloads.wheel import built
from tools.gallery import project

GALLERY = "gallery/"

ROLE = re.compile(
    r"(?:\\ )?:(?P<role>[\w:]+):"
    r"`(?:(?P<label>[^`<]+?)\s*<(?P<target>[^`>]+)>|(?P<text>[^`]+))`(?:\\ )?"
)
REFERENCE = re.compile(r"(?<!`)`(?P<label>[^`<]+?)\s*<(?P<target>[\w-]+)>`(?![`_])")
"""The remains of the role ``ref`` in a notebook: a label and its target."""

Link = Callable[[str], str | None]
"""Gives the address of a document, by its name below ``docs``, or None where it has none."""


def complete(app: Sphinx, exception: Exception | None) -> None:
    """Write every download of the gallery again, complete, and the archive of all of them."""
    if exception is not None or app.builder.name != "html":
        return
    site = Path(app.outdir)
    wheel = built(app.config.html_baseurl)
    for source, (_, name) in app.env.dlfiles.items():
        file = Path(app.srcdir, source)
        if project.GALLERY in file.parents:
            files.write_bytes(site / "_downloads" / name, completed(file, wheel, site))
    files.write_bytes(site / bundle.NAME, everything(Path(app.srcdir), wheel, site))


def completed(file: Path, wheel: install.Wheel, site: Path) -> bytes:
    """Complete one download: a script, a notebook, or the archive of both."""
    if file.suffix == ".zip":
        members = [file.with_suffix(".py"), file.with_suffix(".ipynb")]
        packed = {member.name: completed(member, wheel, site) for member in members}
        if not wheel.site:
            packed[wheel.name] = (site / wheel.name).read_bytes()
        return bundle.archive(packed)
    if file.suffix == ".ipynb":
        return notebook(file, wheel, lambda page: wheel.site and f"{wheel.site}{page}.html")
    return script(file, wheel)


def script(file: Path, wheel: install.Wheel) -> bytes:
    """Let a script begin with what it needs."""
    code = file.read_text(encoding="utf-8")
    return (install.script_metadata(code, wheel) + code).encode()


def notebook(file: Path, wheel: install.Wheel, link: Link) -> bytes:
    """Complete a notebook of the gallery."""
    page = GALLERY + file.relative_to(file.parents[1]).with_suffix("").as_posix()
    return converted(file.read_bytes(), page, wheel, link)


def everything(docs: Path, wheel: install.Wheel, site: Path) -> bytes:
    """Pack all pages, which find the wheel and each other in their folder."""
    beside = install.Wheel(wheel.version)
    made = {docs / GALLERY / f"{project.docname(page)}.py": page for page in project.scripts()}
    names = {file.stem: f"{file.stem}.ipynb" for file in made}

    def link(page: str) -> str | None:
        return names.get(page.removeprefix(GALLERY).rpartition("/")[2])

    pages, titles = {}, {}
    for file in made:
        titles[file.name] = project.title(file)
        pages[file.name] = script(file, beside)
        other = file.with_suffix(".ipynb")
        pages[other.name] = notebook(other, beside, link)
    return bundle.pack(pages, titles, beside, (site / wheel.name).read_bytes())


def converted(notebook: bytes, page: str, wheel: install.Wheel, link: Link) -> bytes:
    """Convert the roles in a notebook's text, and let it begin with what installs its imports.

    Parameters
    ----------
    notebook
        The notebook, as the gallery made it.
    page
        The name of the document that it is made from.
    wheel
        The wheel that the first cell installs.
    link
        Gives the address that references to a document lead to.
    """
    content = json.loads(notebook)
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown":
            text = ROLE.sub(partial(markdown, page=page, link=link), "".join(cell["source"]))
            cell["source"] = [REFERENCE.sub(lambda one: " ".join(one["label"].split()), text)]
    codes = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    first: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": [install.notebook_cell("\n".join(codes), wheel)],
    }
    content["cells"].insert(0, first)
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def markdown(role: re.Match[str], page: str, link: Link) -> str:
    """Write one role in Markdown."""
    label = " ".join((role["label"] or role["text"]).split())
    if role["role"] == "doc" and role["target"]:
        document = posixpath.join("/", posixpath.dirname(page), role["target"]).lstrip("/")
        address = link(posixpath.normpath(document))
        return f"[{label}]({address})" if address else label
    if role["role"] in {"doc", "published", "ref", "term"}:
        return label
    if role["role"] in {"sub", "sup"}:
        return f"<{role['role']}>{label}</{role['role']}>"
    return f"`{label.rpartition('.')[2] if label.startswith('~') else label}`"


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the end of the build."""
    app.connect("build-finished", complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
