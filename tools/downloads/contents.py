"""Check the contents of the downloads, before any of them runs."""

import calendar
import json
import os
import re
import shlex
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from unittest import mock

from tools.downloads import bundle, conversion, notebook_rst, offered
from tools.downloads.offered import Downloads, OfferError
from tools.gallery import project
from tools.gallery.project import Finding

REQUIREMENT = re.compile(r'"[^"]+"')
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
        for difference in conversion.differences(page.notebook, page.script):
            yield Finding(page.notebook.name, None, "downloads", difference)
        yield from wrong_with_archive(page)
    wrong = list(wrong_with_bundle(site / bundle.NAME, pages))
    yield from wrong or differences_of_bundle(site, pages)


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


def differences_of_bundle(site: Path, pages: list[Downloads]) -> Iterator[Finding]:
    """Compare the bundle's scripts with those of the site, and its notebooks with its scripts."""
    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        unpacked = unpack(site, Path(folder))
        for page in pages:
            script = unpacked / page.script.name
            texts = [file.read_text(encoding="utf-8") for file in (script, page.script)]
            if len({offered.METADATA.sub("", text) for text in texts}) > 1:
                message = f"holds a {script.name} that is not the one that the site offers"
                yield Finding(bundle.NAME, None, "downloads", message)
            for difference in conversion.differences(script.with_suffix(".ipynb"), script):
                message = f"{page.notebook.name}: {difference}"
                yield Finding(bundle.NAME, None, "downloads", message)


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
