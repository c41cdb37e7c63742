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


class Package:
    """An installed package."""

    def __init__(self, name, version, *requires):
        self.name, self.version, self.requires = name, version, list(requires)


@pytest.fixture
def environment(pinned, monkeypatch):
    """Install some packages, as far as anybody can see."""
    packages = [
        Package("pip", "26.0"),
        Package("Same_Name", "1.0+cpu"),
        Package("local", "2.13.0", "same-name>=1", "absent; extra == 'more'"),
        Package("other", "3.1", "absent; python_version < '3'"),
    ]

    def distribution(name):
        for package in packages:
            if versions.normalized(package.name) == versions.normalized(name):
                return package
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distributions", lambda: packages)
    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    pinned("same-name==1.0", "local==2.13.0", "absent==1")


@pytest.mark.usefixtures("environment")
def test_packages_that_nobody_pinned_are_named_and_no_error(capsys):
    assert versions.unpinned() == ["other 3.1"]
    assert versions.main([]) == 0
    assert "Installed and not in constraints.txt: other 3.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "requirements",
    [[], ["same-name>=1", "local"], ["other"], ["absent; python_version < '3'"]],
)
@pytest.mark.usefixtures("environment")
def test_what_is_installed_as_pinned_needs_no_install(requirements):
    assert versions.main(["--satisfied", *requirements]) == 0


@pytest.mark.parametrize(
    "requirements",
    [["absent"], ["local", "same-name>=2"], ["local[more]"], ["unknown"]],
)
@pytest.mark.usefixtures("environment")
def test_what_is_missing_or_another_version_needs_one(requirements):
    assert versions.main(["--satisfied", *requirements]) == 1


@pytest.mark.usefixtures("environment")
def test_what_is_installed_in_another_version_than_pinned_needs_one(pinned):
    pinned("same-name==2.0", "local==2.13.0")
    assert versions.main(["--satisfied", "local"]) == 1


@pytest.mark.usefixtures("environment")
def test_an_option_that_there_is_not_is_refused(capsys):
    assert versions.main(["--lates"]) == 2
    assert "--latest" in capsys.readouterr().err


def test_constraints_txt_itself_can_be_read():
    assert versions.pinned()["torch"]
