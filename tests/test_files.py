"""Files are written whole or not at all."""

import json
import os

import pytest

from tools.gallery import files


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

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(OSError, match="no space left"):
        files.write_text(file, "after")
    assert file.read_text(encoding="utf-8") == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
