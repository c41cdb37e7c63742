"""Turn Sphinx's roles into Markdown in the notebooks that the gallery makes.

Sphinx-Gallery converts a page's text for its notebook but leaves roles as they are. A notebook has
no Sphinx to resolve them: names become code, links lead to the site, cited figures lose their mark.
"""

import json
import posixpath
import re
from collections.abc import Callable
from functools import partial

from tools.downloads import install

ROLE = re.compile(
    r"(?:\\ )?:(?P<role>[\w:]+):"
    r"`(?:(?P<label>[^`<]+?)\s*<(?P<target>[^`>]+)>|(?P<text>[^`]+))`(?:\\ )?"
)
REFERENCE = re.compile(r"(?<!`)`(?P<label>[^`<]+?)\s*<(?P<target>[\w-]+)>`(?![`_])")
"""What Sphinx-Gallery leaves of the role ``ref``: a label and the name of its target."""

Link = Callable[[str], str | None]
"""Gives the address of a document, by its name below ``docs``, or None where it has none."""


def converted(notebook: bytes, page: str, wheel: install.Wheel, link: Link) -> bytes:
    """Convert the roles in a notebook's text, and let it begin with what installs its imports.

    Parameters
    ----------
    notebook
        The notebook, as the gallery made it.
    page
        The name of the document that it is made from.
    wheel
        What the first cell installs.
    link
        Where references to other documents lead.
    """
    content = json.loads(notebook)
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown":
            text = ROLE.sub(partial(markdown, page=page, link=link), "".join(cell["source"]))
            cell["source"] = [REFERENCE.sub(lambda one: " ".join(one["label"].split()), text)]
    codes = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    first = {
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
    if role["role"] in {"doc", "published", "ref"}:
        return label
    if role["role"] in {"sub", "sup"}:
        return f"<{role['role']}>{label}</{role['role']}>"
    return f"`{label.rpartition('.')[2] if label.startswith('~') else label}`"
