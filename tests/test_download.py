"""Files are whole or not there, and what is there already is not lost."""

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
from smallport.assets.download import (
    CACHE_DIR,
    DATA_DIR,
    ChecksumError,
    RemoteFile,
    cache_folder,
    fetch,
    git_blob_id,
    replacing,
    sha256,
)

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


# The cache folder


def test_the_cache_folder_is_made_where_the_variable_says(isolated):
    assert not isolated.exists()
    assert cache_folder() == isolated.resolve()
    assert list(isolated.iterdir()) == []


def test_the_cache_folder_may_be_named_relative_to_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE_DIR, "here")
    assert cache_folder() == (tmp_path / "here").resolve()


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_the_cache_is_the_users(monkeypatch, tmp_path, value):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "user" / name))
    if value is None:
        monkeypatch.delenv(CACHE_DIR)
    else:
        monkeypatch.setenv(CACHE_DIR, value)
    assert cache_folder() == (tmp_path / "user" / "smallport").resolve()


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_cache_folder_that_cannot_be_made_is_named(monkeypatch, tmp_path, below):
    in_the_way = tmp_path / "in-the-way"
    in_the_way.write_text("a file")
    monkeypatch.setenv(CACHE_DIR, str(in_the_way / below))
    with pytest.raises(AssetError) as caught:
        cache_folder()
    assert str(in_the_way / below) in str(caught.value)
    assert f"Set {CACHE_DIR} to a folder" in str(caught.value)
    assert in_the_way.read_text() == "a file"


def test_a_cache_folder_that_cannot_be_written_is_named(monkeypatch, isolated):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(AssetError, match=f"{CACHE_DIR} to a folder") as caught:
        cache_folder()
    assert f"{isolated} cannot be written (Permission denied)" in str(caught.value)
    assert caught.value.__suppress_context__, "one sentence, without the traceback of its cause"


# Replacing


def make(path, kind, content):
    if kind == "file":
        path.write_bytes(content)
    else:
        (path / "sub").mkdir(parents=True)
        (path / "sub" / "content").write_bytes(content)


def read(path):
    return (path if path.is_file() else path / "sub" / "content").read_bytes()


@pytest.mark.parametrize(
    ("old", "new"),
    [(None, "file"), (None, "folder"), ("file", "file"), ("folder", "folder"), ("folder", "file")],
)
def test_the_new_takes_the_place_of_the_old_when_it_is_whole(folder, old, new):
    folder.mkdir()
    target = folder / "target"
    if old is not None:
        make(target, old, b"old")
    with replacing(target) as partial:
        assert not partial.exists()
        make(partial, new, b"new")
        assert target.exists() == (old is not None)
        assert old is None or read(target) == b"old"
    assert read(target) == b"new"
    assert list(folder.iterdir()) == [target]


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_and_leaves_nothing_new(folder, kind, there, failure):
    folder.mkdir()
    target = folder / "target"
    if there:
        make(target, kind, b"old")
    with pytest.raises(failure), replacing(target) as partial:  # noqa: PT012 - the block fails
        make(partial, kind, b"half")
        raise failure
    assert list(folder.iterdir()) == [target] * there
    assert not there or read(target) == b"old"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_writer_that_writes_nothing_costs_nothing(folder, kind):
    folder.mkdir()
    target = folder / "target"
    make(target, kind, b"old")
    with pytest.raises(FileNotFoundError), replacing(target):
        pass
    assert read(target) == b"old"
    assert list(folder.iterdir()) == [target]


@given(old=st.binary(max_size=50), new=st.binary(max_size=50), cut=st.integers(0, 50))
def test_whoever_looks_sees_the_old_or_the_new(old, new, cut):
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "target")
        target.write_bytes(old)
        with replacing(target) as partial, partial.open("wb") as stream:
            stream.write(new[:cut])
            stream.flush()
            assert target.read_bytes() == old
            stream.write(new[cut:])
        assert target.read_bytes() == new


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


def test_the_checksum_of_a_file_is_that_of_the_standard(tmp_path):
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    assert sha256(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


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
