"""Download files whole, and check each before it is used."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from smallport import AssetError
from smallport.display import progress_bar
from smallport.files import ChecksumError, replacing, sha256

DATA_DIR = "SMALLPORT_DATA_DIR"
"""The environment variable that names a folder which already holds the published files."""


def git_blob_id(file: Path) -> str:
    r"""Compute the id under which git stores a file: SHA-1 over ``blob SIZE\0`` and its content.

    A repository publishes these ids for every file of every commit, so they can be pinned for
    files whose author publishes no checksum.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "hello")
    ...     _ = file.write_bytes(b"hello\n")
    ...     git_blob_id(file)
    'ce013625030ba8dba906f756967f9e9ca394464a'
    """
    content = file.read_bytes()
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class RemoteFile:
    """A file that others publish.

    Where its ``blob_id`` (see :func:`git_blob_id`) is not known, the first download is trusted, and
    its SHA-256 is stored next to it and checked from then on.
    """

    name: str
    url: str
    blob_id: str | None = None


def fetch(remote: RemoteFile, folder: Path) -> Path:
    """Download a file into a folder once, and check it every time.

    A download that differs from the published file is deleted and raises a ChecksumError; an
    older file in the folder stays there.
    """
    target = folder / remote.name
    if target.exists() and _is_intact(target, remote):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as partial:
        _download(remote, partial)
        digest = sha256(partial)
    if remote.blob_id is None:
        with replacing(_sidecar(target)) as partial:
            partial.write_text(digest + "\n", encoding="ascii")
    return target


def _sidecar(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _is_intact(target: Path, remote: RemoteFile) -> bool:
    if remote.blob_id is not None:
        return git_blob_id(target) == remote.blob_id
    sidecar = _sidecar(target)
    return sidecar.exists() and sidecar.read_bytes().strip() == sha256(target).encode()


def _download(remote: RemoteFile, partial: Path) -> None:
    nothing: list[int] = []  # pooch moves the bar on, and takes one of a known length 0 for none
    bar = progress_bar(iter(nothing), f"downloading {remote.name}", unit="B")
    download = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=30)
    try:
        download(remote.url, str(partial), None)
        broken = None
    except requests.RequestException as error:
        broken = error
    arrived = partial.stat().st_size if partial.exists() else 0
    broken_off = isinstance(broken, requests.exceptions.ChunkedEncodingError)
    if remote.blob_id is not None and (broken is None or broken_off or arrived):
        found = git_blob_id(partial)
        if found != remote.blob_id:
            raise ChecksumError(
                f"{remote.url} did not give the published file: expected git blob "
                f"{remote.blob_id}, found {found} ({arrived} bytes were kept of it). "
                "The bad file was deleted; try again, or download it by hand and set "
                f"{DATA_DIR} to the folder that holds it."
            ) from broken
    if broken is not None:
        raise AssetError(
            f"{remote.url} could not be downloaded ({broken}). Download it by other means and "
            f"set {DATA_DIR} to the folder that holds {remote.name}."
        ) from broken


def data_folder() -> Path | None:
    """Find the folder that already holds the published files, if the user named one."""
    named = os.environ.get(DATA_DIR)
    if not named:
        return None
    folder = Path(named).resolve()
    if not folder.is_dir():
        raise AssetError(f"{DATA_DIR}={named!r} is not a folder; {folder} was looked for.")
    return folder


def in_data_folder(folder: Path, name: str) -> Path:
    """Name a file, or what a pattern of names finds, in the folder of published files."""
    if not any(folder.glob(name)):
        raise AssetError(
            f"{name} is missing from the data folder {folder}. Put it there, or unset {DATA_DIR} "
            "to download the published files."
        )
    return folder / name
