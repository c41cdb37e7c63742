"""Write files so that no process ever reads half of one, and identify their contents."""

import atexit
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from smallport import AssetError

CACHE_DIR = "SMALLPORT_CACHE_DIR"
"""The environment variable that names the cache folder."""


class ChecksumError(AssetError):
    """A file does not have the expected content."""


def cache_folder() -> Path:
    """Make sure that the cache folder is there and can be written.

    It is what ``SMALLPORT_CACHE_DIR`` names, or the user's cache folder on this system.
    """
    folder = Path(os.environ.get(CACHE_DIR) or platformdirs.user_cache_dir("smallport"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise AssetError(
            f"The cache folder {folder} cannot be written ({error.strerror or error}). "
            f"Set {CACHE_DIR} to a folder that can."
        ) from None
    return folder.resolve()


def scratch_folder() -> Path:
    """Make a temporary folder that is deleted when Python ends.

    Examples
    --------
    >>> folder = scratch_folder()
    >>> folder.is_dir(), list(folder.iterdir())
    (True, [])
    """
    folder = Path(tempfile.mkdtemp(prefix="smallport-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Write a file or a folder under another name and give it its own once it is whole.

    An older one stays until then, and remains if writing fails.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = Path(folder, "note.txt")
    ...     with replacing(target) as partial:
    ...         _ = partial.write_text("whole")
    ...         before = target.exists()
    ...     before, target.read_text()
    (False, 'whole')
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        partial = Path(scratch, target.name)
        yield partial
        if target.is_dir() and not target.is_symlink():
            partial.stat()  # where nothing was written, what stands there stays
            shutil.move(target, Path(scratch, "replaced"))
        partial.replace(target)


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file, whole or not at all; the folders that it lies in are made where missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as partial:
        partial.write_bytes(content)


def write_text(file: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    write_bytes(file, text.encode())


def write_json(file: Path, value: object, *, indent: int = 2) -> None:
    """Write a value as JSON, whole or not at all."""
    write_text(file, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def sha256(file: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; return what it prints, nothing where there is no git or no checkout."""
    try:
        done = subprocess.run(  # noqa: S603 - callers write the arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - wherever it is installed
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
