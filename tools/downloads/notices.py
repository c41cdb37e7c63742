"""The works of others in the site and its archive, with the texts of their licences."""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

from tools.gallery import project

FILE = project.DOCS / "notices.toml"
SERVED = ("_static", "in_the_page")
"""The folders of the site that hold files of others."""

MIT = Path(__file__).with_name("MIT.txt")
"""The text of the licence, with a field for the holder of the copyright."""


@dataclass(frozen=True)
class Notice:
    """Something that others wrote.

    Parameters
    ----------
    name
        Its name.
    licence
        Its SPDX identifier.
    holder
        Who has the copyright.
    source
        Where it comes from.
    used
        The parts of it that are used, and their use.
    files
        Patterns of the paths on the site that belong to it.
    text
        The installed package and the file in it that has the licence; empty for the MIT licence.
    in_archive
        Whether the archive of all pages contains it, too.
    cited
        Whether it is only cited, so that no licence text has to come with it.
    """

    name: str
    licence: str
    holder: str
    source: str
    used: str
    files: tuple[str, ...]
    text: tuple[str, ...] = ()
    in_archive: bool = False
    cited: bool = False

    def licence_text(self) -> str:
        """Read the text of the licence.

        Raises
        ------
        FileNotFoundError
            When the installed package has no such file.
        """
        if self.cited:
            return ""
        if not self.text:
            return MIT.read_text(encoding="utf-8").format(holder=self.holder)
        package, name = self.text
        for file in metadata.files(package) or []:
            if file.name == name:
                return Path(str(file.locate())).read_text(encoding="utf-8")
        raise FileNotFoundError(
            f"{package} {metadata.version(package)} has no file {name}. Name its licence in {FILE}"
        )


def notices() -> list[Notice]:
    """Read what others wrote."""
    listed: list[dict[str, Any]] = tomllib.loads(FILE.read_text(encoding="utf-8"))["notice"]
    sequences = ("files", "text")
    return [
        Notice(**{**one, **{name: tuple(one.get(name, ())) for name in sequences}})
        for one in listed
    ]


def unlisted(site: Path, listed: Iterable[Notice]) -> Iterator[str]:
    """Find files of the site that are neither the project's own nor listed.

    Parameters
    ----------
    site
        The folder of the built site.
    listed
        The works that are listed.
    """
    ours = {file.name for file in (project.DOCS / "_static").iterdir()}
    patterns = [pattern for notice in listed for pattern in notice.files]
    for folder in SERVED:
        for file in sorted((site / folder).rglob("*")):
            name = file.relative_to(site).as_posix()
            own = folder == "_static" and file.parent.name == folder and file.name in ours
            if file.is_file() and not own and not any(fnmatch(name, one) for one in patterns):
                yield name


def as_text(listed: Iterable[Notice]) -> str:
    """Write notices with their licences as Markdown, for the archive."""
    parts = ["# Third-party notices\n"]
    for notice in listed:
        parts.append(f"## {notice.name}\n\n{notice.used}\n\n{notice.source}\n")
        parts.append(f"Copyright: {notice.holder}. Licence: {notice.licence}.\n")
        if text := notice.licence_text():
            parts.append(f"```text\n{text.strip()}\n```\n")
    return "\n".join(parts)
