"""Downloaded files are whole or not there, and what is there already is not lost."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smallport import AssetError
from smallport.assets.download import DATA_DIR, ChecksumError, RemoteFile, fetch, git_blob_id
from smallport.files import sha256

GOOD = b"to be, or not to be\n" * 5_000
GOOD_ID = "78283687cce58e78a1821ad7e8d7cbb3f8294789"


def blob_id(content):
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "files"


def names(folder):
    """List everything in a folder, hidden files included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# Checksums


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@settings(max_examples=5)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8))
@example([b"", b"\n", b"\r\n", b"\0" * 5_000])
def test_blob_ids_are_those_of_git(contents):
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(number)) for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        git = subprocess.run(
            ["git", "hash-object", "--no-filters", *files],
            capture_output=True,
            check=True,
            text=True,
            cwd=folder,
        )
        assert git.stdout.split() == [git_blob_id(file) for file in files]


# Downloads. A pinned file has a known checksum; a trusted one is believed the first time.


@pytest.fixture(params=["pinned", "trusted"])
def remote(request, site):
    known = {"pinned": GOOD_ID, "trusted": None}
    return RemoteFile("sub/good.txt", f"{site.url}/good.txt", known[request.param])


def kept(remote):
    """Name the files that a download of it leaves."""
    return [remote.name] if remote.blob_id else [remote.name, f"{remote.name}.sha256"]


def test_a_file_is_downloaded_once(site, folder, remote):
    site.reply("/good.txt", GOOD)
    file = fetch(remote, folder)
    assert file == folder / remote.name
    assert file.read_bytes() == GOOD
    assert fetch(remote, folder) == file
    assert site.requests == ["/good.txt"]
    assert names(folder) == kept(remote)


def test_an_altered_file_is_downloaded_again(site, folder, remote):
    site.reply("/good.txt", GOOD)
    file = fetch(remote, folder)
    file.write_bytes(GOOD[:-1] + b"?")
    assert fetch(remote, folder).read_bytes() == GOOD
    assert site.requests == ["/good.txt"] * 2
    assert names(folder) == kept(remote)


@pytest.mark.parametrize("record", [None, b"", b"\xff\xfe", b"0" * 64])
def test_a_trusted_file_without_its_record_is_downloaded_again(site, folder, record):
    trusted = RemoteFile("good.txt", f"{site.url}/good.txt")
    site.reply("/good.txt", GOOD)
    sidecar = fetch(trusted, folder).with_name("good.txt.sha256")
    if record is None:
        sidecar.unlink()
    else:
        sidecar.write_bytes(record)
    fetch(trusted, folder)
    assert site.requests == ["/good.txt"] * 2
    assert sidecar.read_text().strip() == sha256(folder / "good.txt")


def test_a_good_file_needs_no_server(site, no_site, folder, remote):
    site.reply("/good.txt", GOOD)
    fetch(remote, folder)
    gone = RemoteFile(remote.name, f"{no_site}/good.txt", remote.blob_id)
    assert fetch(gone, folder).read_bytes() == GOOD


def test_a_download_goes_through_a_redirection(site, folder, remote):
    site.reply("/good.txt", b"", 302, Location="/moved.txt")
    site.reply("/moved.txt", GOOD)
    assert fetch(remote, folder).read_bytes() == GOOD


def assert_checksum_error(caught, site, arrived):
    found = blob_id(arrived)
    message = str(caught.value)
    assert f"{site.url}/good.txt" in message
    assert (
        f"expected git blob {GOOD_ID}, found {found} ({len(arrived)} bytes were kept of it)"
        in message
    )
    assert "The bad file was deleted" in message
    assert DATA_DIR in message


@pytest.mark.parametrize(
    "body",
    [GOOD[: len(GOOD) // 2], b"", GOOD.replace(b"not", b"now", 1), b"<html>Sign in</html>"],
    ids=["shorter", "empty", "altered", "something else"],
)
def test_a_pinned_file_that_arrives_wrong_is_deleted(site, folder, body):
    site.reply("/good.txt", body)
    with pytest.raises(ChecksumError) as caught:
        fetch(RemoteFile("good.txt", f"{site.url}/good.txt", GOOD_ID), folder)
    assert_checksum_error(caught, site, body)
    assert names(folder) == []


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("size", [0, 10, 90_000])
def test_a_download_that_breaks_off_is_deleted(site, folder, pinned, size):
    half = GOOD[:size]
    site.reply("/good.txt", half, Content_Length=str(len(GOOD)))
    remote = RemoteFile("good.txt", f"{site.url}/good.txt", GOOD_ID if pinned else None)
    with pytest.raises(AssetError) as caught:
        fetch(remote, folder)
    if pinned:
        expected, found = re.search(
            r"expected git blob (\w{40}), found (\w{40}) ", str(caught.value)
        ).groups()
        assert expected == GOOD_ID != found
        assert isinstance(caught.value, ChecksumError)
        assert f"{len(GOOD) - size} more expected" in str(caught.value.__cause__)
    else:
        assert f"{len(GOOD) - size} more expected" in str(caught.value)
    assert remote.url in str(caught.value)
    assert DATA_DIR in str(caught.value)
    assert names(folder) == []


def test_a_refused_download_names_the_answer(site, folder, remote):
    site.reply("/good.txt", b"go away", 403)
    with pytest.raises(AssetError, match="403") as caught:
        fetch(remote, folder)
    assert not isinstance(caught.value, ChecksumError)
    assert f"{remote.url} could not be downloaded" in str(caught.value)
    assert f"set {DATA_DIR} to the folder that holds {remote.name}" in str(caught.value)
    assert names(folder) == []


def test_without_a_server_the_url_and_the_way_out_are_named(no_site, folder, remote):
    gone = RemoteFile(remote.name, f"{no_site}/good.txt", remote.blob_id)
    with pytest.raises(AssetError, match="refused") as caught:
        fetch(gone, folder)
    assert not isinstance(caught.value, ChecksumError)
    assert f"{gone.url} could not be downloaded" in str(caught.value)
    assert f"set {DATA_DIR} to the folder that holds {gone.name}" in str(caught.value)
    assert names(folder) == []


@pytest.mark.parametrize(("body", "status"), [(b"bad", 200), (b"go away", 403), (GOOD[:100], 200)])
def test_an_earlier_good_file_outlives_a_failed_update(site, folder, body, status):
    folder.mkdir()
    earlier = folder / "good.txt"
    earlier.write_bytes(b"the file of an earlier commit")
    earlier_id = blob_id(earlier.read_bytes())
    site.reply("/good.txt", body, status)
    with pytest.raises(AssetError, match=re.escape(site.url)):
        fetch(RemoteFile("good.txt", f"{site.url}/good.txt", GOOD_ID), folder)
    assert git_blob_id(earlier) == earlier_id
    assert names(folder) == ["good.txt"]


def test_a_download_shows_its_progress_on_a_terminal(site, folder, remote, terminal):
    site.reply("/good.txt", GOOD)
    fetch(remote, folder)
    shown = terminal()
    assert f"downloading {remote.name}" in shown
    assert f"/{len(GOOD)} " in shown


def test_a_downloaded_file_can_be_read_by_others(site, folder, remote):
    if os.name != "posix":
        pytest.skip("permissions are those of POSIX")
    folder.mkdir()
    (folder / "plain").touch()
    site.reply("/good.txt", GOOD)
    assert fetch(remote, folder).stat().st_mode == (folder / "plain").stat().st_mode
