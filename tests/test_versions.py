"""Check that another version than the pinned one is named."""

import importlib.metadata

import pytest

from tools.gallery import versions

INSTALLED = {"same": "1.0", "local": "2.13.0+cpu", "other": "3.1"}


@pytest.fixture
def pinned(tmp_path, monkeypatch):
    """Pin some packages, of which some are installed in another version or not at all."""

    def version(name):
        if name not in INSTALLED:
            raise importlib.metadata.PackageNotFoundError(name)
        return INSTALLED[name]

    def pin(*lines):
        file = tmp_path / "constraints.txt"
        file.write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.setattr(versions, "CONSTRAINTS", file)

    monkeypatch.setattr(importlib.metadata, "version", version)
    return pin


def test_comments_and_blank_lines_pin_nothing(pinned):
    pinned("# why", "", "same==1.0  # because", "absent==1")
    assert versions.pinned() == {"same": "1.0", "absent": "1"}
    assert versions.installed() == {"same": "1.0"}


def test_a_local_label_is_no_difference(pinned):
    pinned("same==1.0", "local==2.13.0")
    assert versions.differences() == []
    assert versions.main([]) == 0


def test_a_difference_is_an_error_and_says_what_to_do(pinned, capsys):
    pinned("same==1.0", "other==3.0")
    assert versions.main([]) == 1
    error = capsys.readouterr().err
    assert "other: 3.1 is installed, constraints.txt says 3.0" in error
    assert "update constraints.txt" in error


def test_the_latest_releases_are_printed_and_no_error(pinned, capsys):
    pinned("other==3.0")
    assert versions.main(["--latest"]) == 0
    assert "other: 3.1 is installed, constraints.txt says 3.0" in capsys.readouterr().out


def test_nothing_newer_is_said_so(pinned, capsys):
    pinned("same==1.0")
    assert versions.main(["--latest"]) == 0
    assert "nothing" in capsys.readouterr().out


def test_constraints_txt_itself_can_be_read():
    assert versions.pinned()["torch"]
