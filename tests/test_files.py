"""Files are written whole or not at all."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallport import AssetError, files
from smallport.files import CACHE_DIR, cache_folder, replacing, sha256


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "files"


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    file = tmp_path / "folder" / "file.json"
    files.write_text(file, "before")
    files.write_json(file, {"one": 1})
    assert json.loads(file.read_text(encoding="utf-8")) == {"one": 1}
    assert [path.name for path in file.parent.iterdir()] == ["file.json"]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "file"
    files.write_text(file, "before")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space left"):
        files.write_text(file, "after")
    assert file.read_text(encoding="utf-8") == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_checksum_of_a_file_is_that_of_the_standard(tmp_path):
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    assert sha256(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


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


def test_a_scratch_folder_is_gone_when_python_ends(tmp_path):
    code = (
        "from smallport.files import scratch_folder\n"
        "folder = scratch_folder()\n"
        "(folder / 'file').write_text('x')\n"
        "print(folder)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).parent == tmp_path
    assert list(tmp_path.iterdir()) == []
