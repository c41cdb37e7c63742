"""The runtime of browsers is pinned, checked and kept; where it cannot be had, that is said."""

import base64
import gzip
import hashlib
import io
import tarfile

import pytest

from smallport.files import ChecksumError
from tools.demo import runtime

FILES = {"package/run.mjs": b"export default 1;", "package/run.wasm": b"\0asm" * 100}


def packed(files):
    """Pack an archive as npm does."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture(scope="module")
def archive():
    return packed(FILES)


@pytest.fixture(scope="module")
def pin(archive):
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    return runtime.Pin("9.9.9", f"sha512-{digest}", *FILES)


@pytest.fixture
def registry(site, archive, monkeypatch):
    """Serve a registry, and have npm's own setting name it."""
    site.reply("/onnxruntime-web/-/onnxruntime-web-9.9.9.tgz", archive)
    monkeypatch.setenv(runtime.REGISTRY_SETTING, f"{site.url}/")
    return site


def test_the_archive_is_downloaded_once_and_kept_in_the_cache(registry, pin, archive, isolated):
    for _ in range(2):
        assert runtime.fetch(pin).read_bytes() == archive
    assert registry.requests == ["/onnxruntime-web/-/onnxruntime-web-9.9.9.tgz"]
    assert [file.name for file in isolated.iterdir()] == ["onnxruntime-web-9.9.9.tgz"]


def test_a_kept_archive_that_was_changed_is_downloaded_again(registry, pin, archive):
    runtime.fetch(pin).write_bytes(b"changed")
    assert runtime.fetch(pin).read_bytes() == archive
    assert len(registry.requests) == 2


@pytest.mark.usefixtures("registry")
def test_a_wrong_checksum_is_named_and_nothing_is_kept(isolated):
    wrong = runtime.Pin("9.9.9", "sha512-" + base64.b64encode(bytes(64)).decode(), *FILES)
    with pytest.raises(ChecksumError, match=r"is not the archive that runtime\.toml pins: SHA512"):
        runtime.fetch(wrong)
    assert not list(isolated.iterdir())


def test_a_registry_that_is_not_there_means_that_there_is_no_runtime(no_site, pin, monkeypatch):
    monkeypatch.setenv(runtime.REGISTRY_SETTING, no_site)
    with pytest.raises(runtime.UnavailableError) as caught:
        runtime.fetch(pin)
    message = str(caught.value)
    assert f"could not be downloaded from {no_site} (ConnectionError)" in message
    assert "put onnxruntime-web-9.9.9.tgz into the cache folder" in message


def test_a_version_that_the_registry_does_not_have_is_not_there_either(site, pin, monkeypatch):
    monkeypatch.setenv(runtime.REGISTRY_SETTING, site.url)
    with pytest.raises(runtime.UnavailableError, match="HTTPError"):
        runtime.fetch(pin)


def test_what_a_browser_needs_is_unpacked_to_the_same_bytes_each_time(archive, pin, tmp_path):
    (tmp_path / "archive.tgz").write_bytes(archive)
    contents = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        runtime.unpack(tmp_path / "archive.tgz", pin, folder)
        contents.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert contents[0] == contents[1]
    assert contents[0][runtime.SCRIPT] == FILES["package/run.mjs"]
    assert gzip.decompress(contents[0][runtime.BINARY]) == FILES["package/run.wasm"]


def test_what_is_pinned_is_a_checksum_of_512_bits_and_a_build_without_webgpu():
    pin = runtime.pinned()
    algorithm, _, digest = pin.checksum.partition(":")
    assert algorithm == "sha512"
    assert len(digest) == 128
    assert "jsep" not in pin.script + pin.binary
