"""Check the contents of the downloads, before any of them runs."""

import calendar
import json
import os
import re
import shlex
import tempfile
import zipfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from unittest import mock

from tools.downloads import bundle, conversion, notebook_rst, offered
from tools.downloads.offered import Downloads, OfferError
from tools.gallery import project
from tools.gallery.project import Finding

REQUIREMENT = re.compile(r'"[^"]+"')
OFFERED = {".py", ".ipynb"}
SMALLPORT = re.compile(r"\[(?P<extras>[\w,-]+)\]")


def findings(site: Path, pages: list[Downloads]) -> Iterator[Finding]:
    """Check what all downloads of a site require and contain."""
    yield from notebook_rst.findings(site)
    for page in pages:
        try:
            by_script = needed(offered.required_by_script(page.script.read_text(encoding="utf-8")))
            by_notebook = needed(REQUIREMENT.findall(installs(page)))
        except OfferError as error:
            yield Finding(page.name, None, "downloads", str(error))
            continue
        if by_script != by_notebook:
            message = (
                f"the script asks for {', '.join(sorted(by_script))}, and the notebook for "
                f"{', '.join(sorted(by_notebook))}"
            )
            yield Finding(page.name, None, "downloads", message)
        yield from wrong_with_archive(page)
    yield from wrong_with_bundle(site / bundle.NAME, pages)
    yield from unlike_pages(site)


def installs(page: Downloads) -> str:
    """Read what the first cell of a page's notebook installs."""
    return offered.installed_by_notebook(json.loads(page.notebook.read_text(encoding="utf-8")))


def needed(requirements: list[str]) -> set[str]:
    """Write requirements alike, wherever Smallport's wheel is said to be.

    Examples
    --------
    >>> sorted(needed(["smallport[onnx]==1.0", "torch==2.0"]))
    ['smallport[onnx]', 'torch==2.0']
    >>> sorted(needed(['"./smallport-1.0-py3-none-any.whl[onnx]"', '"torch==2.0"']))
    ['smallport[onnx]', 'torch==2.0']
    """
    found = set()
    for requirement in requirements:
        extras = SMALLPORT.search(requirement)
        found.add(f"smallport[{extras['extras']}]" if extras else requirement.strip('"'))
    return found


def sharing(pages: list[Downloads]) -> list[list[Downloads]]:
    """Group pages whose notebooks may share an environment without lending each other anything.

    They are of one section, and each installs at least what the ones before it do.
    """
    groups: list[list[Downloads]] = []
    for page in sorted(pages, key=lambda one: (one.section, len(pins(one)), one.name)):
        last = groups[-1][-1] if groups else page
        if groups and last.section == page.section and pins(last) <= pins(page):
            groups[-1].append(page)
        else:
            groups.append([page])
    return groups


def quickest(pages: list[Downloads]) -> list[Downloads]:
    """Choose the page of each extra that took the shortest time."""
    chosen: dict[str, Downloads] = {}
    for page in sorted(pages, key=lambda one: one.seconds):
        extra = SMALLPORT.search(installs(page))
        chosen.setdefault(extra["extras"] if extra else "", page)
    return list(chosen.values())


def pins(page: Downloads) -> set[str]:
    """List the packages and versions that a page's notebook installs apart from Smallport."""
    return {one for one in needed(REQUIREMENT.findall(installs(page))) if "smallport" not in one}


def wrong_with_archive(page: Downloads) -> Iterator[Finding]:
    """Find out whether the archive of a page holds what the page offers, and nothing else."""
    files = (page.script, page.notebook, *page.beside)
    with zipfile.ZipFile(page.archive) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    if members != {file.name: file.read_bytes() for file in files}:
        message = f"holds {', '.join(sorted(members))}, and not the files that the page offers"
        yield Finding(page.archive.name, None, "downloads", message)


def wrong_with_bundle(archive: Path, pages: list[Downloads]) -> Iterator[Finding]:
    """Find out whether the bundle is whole, stays in its folder, and can be made again."""
    if not archive.exists():
        yield Finding(archive.name, None, "downloads", "is not in the site")
        return
    with zipfile.ZipFile(archive) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
        dates = {member.date_time for member in packed.infolist()}
    for name in members:
        path = PurePosixPath(name)
        if path.parts[0] != bundle.FOLDER or ".." in path.parts or "\\" in name:
            message = f"{name!r} leads out of the folder {bundle.FOLDER}"
            yield Finding(archive.name, None, "downloads", message)
    for name, content in members.items():
        for folder in {str(project.ROOT), str(Path.home())} - {"/"}:
            if not name.endswith(".whl") and f"{folder}/".encode() in content:
                message = f"{name} names {folder}, a folder of the machine that built it"
                yield Finding(archive.name, None, "downloads", message)
    wanted = {file.name for page in pages for file in (page.script, page.notebook)}
    if missing := wanted - {PurePosixPath(name).name for name in members}:
        yield Finding(archive.name, None, "downloads", f"lacks {', '.join(sorted(missing))}")
    if len(dates) > 1 or again(members, dates) != archive.read_bytes():
        message = "is not what packing its contents again gives: its bytes depend on something else"
        yield Finding(archive.name, None, "downloads", message)


def again(members: dict[str, bytes], dates: set[tuple[int, int, int, int, int, int]]) -> bytes:
    """Pack an archive's contents once more, for the same date; nothing where that fails."""
    date = str(calendar.timegm((*min(dates), 0, 0, 0)))
    with mock.patch.dict(os.environ, SOURCE_DATE_EPOCH=date):
        try:
            return bundle.archive(members)
        except ValueError:
            return b""


def unlike_pages(site: Path) -> Iterator[Finding]:
    """Find scripts and notebooks, offered by themselves or in archives, that are not their page.

    A script has to equal its page, character by character, after the metadata at its beginning.

    Parameters
    ----------
    site
        The folder of the site.
    """
    pages = {script.stem: script for script in project.scripts()}
    with tempfile.TemporaryDirectory(prefix="offered-") as folder:
        scratch = Path(folder, "notebook.ipynb")
        for place, name, content in offered_files(site):
            page = pages.get(PurePosixPath(name).stem)
            line = None
            if page is None:
                difference = "is of no page"
            elif name.endswith(".py"):
                line, difference = unlike_script(content.decode("utf-8"), page)
            else:
                scratch.write_bytes(content)
                difference = next(conversion.differences(scratch, page), "")
            if difference:
                message = f"{place} {difference}: look at docs/_ext/downloads.py"
                where = f"examples/{project.docname(page)}.py" if page else name
                yield Finding(where, line, "downloads", message)


def offered_files(site: Path) -> Iterator[tuple[str, str, bytes]]:
    """Read every script and notebook of a site: the name of the offered file, its own, its content.

    Parameters
    ----------
    site
        The folder of the site.
    """
    for file in sorted(site.rglob("*")):
        if file.suffix in OFFERED:
            yield file.name, file.name, file.read_bytes()
        elif file.suffix == ".zip":
            with zipfile.ZipFile(file) as packed:
                for name in packed.namelist():
                    if PurePosixPath(name).suffix in OFFERED:
                        inside = PurePosixPath(name).name
                        yield f"{inside} in {file.name}", name, packed.read(name)


def unlike_script(text: str, page: Path) -> tuple[int | None, str]:
    """Find the first line in which an offered script is not its page, and say what it is."""
    header = offered.METADATA.match(text)
    here = text[header.end() :].removeprefix("\n") if header else text
    there = page.read_text(encoding="utf-8")
    if here == there:
        return None, ""
    lines = zip_longest(here.splitlines(), there.splitlines())
    number, (one, other) = next(
        ((number, pair) for number, pair in enumerate(lines, start=1) if pair[0] != pair[1]),
        (1, ("", "")),
    )
    return number, f"is not the page: it has {one!r} for {other!r}"


def unpack(site: Path, folder: Path) -> Path:
    """Unzip the bundle; return the folder that it brings."""
    with zipfile.ZipFile(site / bundle.NAME) as packed:
        packed.extractall(folder)
    return folder / bundle.FOLDER


def commands(unpacked: Path) -> tuple[list[str], list[str]]:
    """Read the two commands of the bundle's README, without the name of Python."""
    readme = (unpacked / "README.md").read_text(encoding="utf-8")
    installing, running = re.findall(r"^    python (.*)$", readme, re.MULTILINE)
    return shlex.split(installing), shlex.split(running)
