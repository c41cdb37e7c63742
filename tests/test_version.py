"""The wheel's version names the commit that last changed the package."""

import re
import subprocess

import pytest
from packaging.version import Version

from tools import version

INIT = "src/smallport/__init__.py"


def git(root, *arguments):
    author = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(
        ["git", "-C", str(root), *author, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def write(root, name, text):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    """Make a folder without git that holds a package."""
    write(tmp_path, INIT, '__version__ = "0.1.0"\n')
    write(tmp_path, "pyproject.toml", "[project]\n")
    return tmp_path


@pytest.fixture
def checkout(folder):
    """Make a repository of two commits, the second of which concerns a page only."""
    git(folder, "init", "--quiet")
    write(folder, "examples/page.py", "print(1)\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "one")
    write(folder, "examples/page.py", "print(2)\n")
    git(folder, "commit", "--quiet", "--all", "--message", "two")
    return folder


def test_a_commit_is_named_and_a_change_of_pages_alone_is_the_same_version(checkout):
    commit = git(checkout, "rev-parse", "--short=12", "HEAD~1")
    assert version.version(checkout) == f"0.1.0.dev1+g{commit}"
    write(checkout, "examples/page.py", "print(3)\n")
    assert version.version(checkout) == f"0.1.0.dev1+g{commit}"


def test_uncommitted_changes_have_versions_of_their_own(checkout):
    clean = version.version(checkout)
    found = {clean}
    for number in range(2):
        write(checkout, INIT, f'__version__ = "0.1.0"\nNUMBER = {number}\n')
        found.add(version.version(checkout))
    write(checkout, "src/smallport/new.py", "")
    found.add(version.version(checkout))
    assert len(found) == 4
    assert all(one.startswith(clean) for one in found)
    assert all(re.fullmatch(r"\.d[0-9a-f]{8}", one.removeprefix(clean)) for one in found - {clean})


def test_a_folder_without_git_is_told_by_its_content(folder):
    before = version.version(folder)
    assert re.fullmatch(r"0\.1\.0\.dev0\+d[0-9a-f]{8}", before)
    write(folder, "src/smallport/new.py", "")
    assert version.version(folder) != before


def test_a_folder_in_the_repository_of_something_else_is_told_by_its_content(checkout):
    write(checkout, f"other/{INIT}", '__version__ = "0.1.0"\n')
    assert version.version(checkout / "other").startswith("0.1.0.dev0+d")


@pytest.mark.parametrize("made", ["folder", "checkout"])
def test_the_version_is_normalized_already(made, request):
    found = version.version(request.getfixturevalue(made))
    assert str(Version(found)) == found


def test_without_the_program_git_there_is_still_a_version(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))
    assert version.version(checkout).startswith("0.1.0.dev0+d")
