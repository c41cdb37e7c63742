"""Get ONNX Runtime for browsers from npm's registry: pinned, checked, kept in the cache."""

import base64
import gzip
import os
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from smallport.files import ChecksumError, cache_folder

PIN = Path(__file__).with_name("runtime.toml")
REGISTRY = "https://registry.npmjs.org"
REGISTRY_SETTING = "npm_config_registry"
"""The environment variable by which npm is told to take another registry."""

SCRIPT = "onnxruntime.mjs"
BINARY = "onnxruntime.wasm.gz"
"""A quarter of the size; not every host of static files would compress it on its way."""


class UnavailableError(Exception):
    """The runtime cannot be had, so that the model cannot run in the page."""


@dataclass(frozen=True)
class Pin:
    """The version of the runtime, and what of it is used.

    Parameters
    ----------
    version
        The version of ``onnxruntime-web``.
    integrity
        The checksum of its archive as npm writes it: ``sha512-`` and the digest in base 64.
    script, binary
        The files in the archive: a module without dependencies, and the WebAssembly.
    """

    version: str
    integrity: str
    script: str
    binary: str

    @property
    def archive(self) -> str:
        """The name of the archive, in the registry and in the cache."""
        return f"onnxruntime-web-{self.version}.tgz"

    @property
    def checksum(self) -> str:
        """The checksum as pooch takes it.

        Examples
        --------
        >>> Pin("1.0.0", "sha512-AAEC", "", "").checksum
        'sha512:000102'
        """
        algorithm, _, digest = self.integrity.partition("-")
        return f"{algorithm}:{base64.b64decode(digest).hex()}"


def pinned() -> Pin:
    """Read which version the site is built with."""
    return Pin(**tomllib.loads(PIN.read_text(encoding="utf-8")))


def fetch(pin: Pin) -> Path:
    """Download the archive once, and check it every time.

    Parameters
    ----------
    pin
        The version to download.

    Returns
    -------
    pathlib.Path
        The archive, in the cache folder.

    Raises
    ------
    UnavailableError
        When the registry cannot be reached, or does not have it.
    ChecksumError
        When what came is not what is pinned. It is deleted.
    """
    registry = (os.environ.get(REGISTRY_SETTING) or REGISTRY).rstrip("/")
    url = f"{registry}/onnxruntime-web/-/{pin.archive}"
    try:
        file = pooch.retrieve(
            url,
            pin.checksum,
            fname=pin.archive,
            path=cache_folder(),
            downloader=pooch.HTTPDownloader(timeout=30),
        )
    except requests.RequestException as error:
        raise UnavailableError(
            f"ONNX Runtime for browsers could not be downloaded from {registry} "
            f"({type(error).__name__}). Set {REGISTRY_SETTING} to a registry that can be reached, "
            f"or put {pin.archive} into the cache folder"
        ) from error
    except ValueError as error:
        raise ChecksumError(
            f"{url} is not the archive that {PIN.name} pins: {error} If the version was changed, "
            "change the checksum too."
        ) from error
    return Path(file)


def unpack(archive: Path, pin: Pin, folder: Path) -> None:
    """Put what a browser needs of the archive into a folder.

    Raises
    ------
    KeyError
        When the archive does not hold a file of that name.
    """
    with tarfile.open(archive) as files:

        def content(name: str) -> bytes:
            stream = files.extractfile(name)
            assert stream is not None, f"{name} is no file"
            return stream.read()

        (folder / SCRIPT).write_bytes(content(pin.script))
        (folder / BINARY).write_bytes(gzip.compress(content(pin.binary), mtime=0))
