"""Pack the site's downloads into archives whose bytes depend only on their contents."""

import io
import os
import time
import zipfile
from collections.abc import Mapping

from smallport.files import git
from tools.downloads import install, notices
from tools.gallery import project, versions

NAME = "smallport-offline.zip"
"""All pages with the wheel, at the root of the site."""

FOLDER = "smallport-offline"
EARLIEST = 315_532_800
"""1980, the earliest date of a zip file, which is used where there is no commit."""

README = """\
# Smallport {version}: all tutorials, offline

All tutorials of the site, each as a script and as a notebook, and the package that they share.
All other packages come from the package registry; nothing else is downloaded.

Install it in this folder, with Python {python}, preferably into a new environment:

    python -m pip install -c constraints.txt {smallport}

Then run any page:

    python {example}

With uv, the first command is not necessary: `uv run {example}`.

PyPI's PyTorch for Linux includes gigabytes of CUDA libraries. To avoid them, add
`--extra-index-url {cpu}` to the first command.

The notebooks (.ipynb) open in Jupyter, started in this folder, and in every editor that supports
notebooks. `constraints.txt` has the versions that the site was built with.

Pages:

{pages}
"""


def archive(members: Mapping[str, bytes]) -> bytes:
    """Pack files in the order of their names, all with the same date and rights.

    Parameters
    ----------
    members
        The content of each file, by its path in the archive.

    Raises
    ------
    ValueError
        When a path leads out of the folder that the archive is unpacked in.
    """
    date = time.gmtime(max(timestamp(), EARLIEST))[:6]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in sorted(members):
            if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
                raise ValueError(f"{name!r} leads out of the archive's folder: rename it")
            member = zipfile.ZipInfo(name, date)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # Unix, wherever this runs, as the rights are
            member.external_attr = 0o100644 << 16
            packed.writestr(member, members[name])
    return content.getvalue()


def timestamp() -> int:
    """Give the date of what is built, in seconds: SOURCE_DATE_EPOCH, or that of the commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    return int(git(project.ROOT, "log", "-1", "--format=%ct") or 0)


def pack(
    pages: Mapping[str, bytes], titles: Mapping[str, str], wheel: install.Wheel, built: bytes
) -> bytes:
    """Pack all pages with the wheel, the versions, and how to run them.

    Parameters
    ----------
    pages
        The scripts and notebooks, by their names. They name the wheel in their folder.
    titles
        The title of each page, by the name of its script.
    wheel, built
        Smallport's wheel, and what it holds.
    """
    files = {
        **pages,
        wheel.name: built,
        "constraints.txt": versions.CONSTRAINTS.read_bytes(),
        "README.md": readme(titles, wheel).encode(),
        "NOTICES.md": notices.as_text(n for n in notices.notices() if n.in_archive).encode(),
    }
    return archive({f"{FOLDER}/{name}": content for name, content in files.items()})


def readme(titles: Mapping[str, str], wheel: install.Wheel) -> str:
    """Write the README of the bundle."""
    extras = ",".join(sorted({install.DEFAULT_EXTRA, *install.EXTRAS.values()}))
    described = install.described()
    width = max(map(len, titles))
    return README.format(
        version=wheel.version,
        python=described["requires-python"].replace(">=", "") + " or newer",
        smallport=" ".join(install.from_where(install.Wheel(wheel.version), extras)),
        example=min(titles),
        cpu=install.CPU_INDEX,
        pages="\n".join(f"    {name:{width}}  {title}" for name, title in sorted(titles.items())),
    )
