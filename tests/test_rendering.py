"""Sphinx is started only where something changed, and starts anew only where it has to."""

import os

import pytest

from tools.gallery import project, rendering, settings

KEY = {
    "docs/assets.rst": "1",
    "docs/_templates/autosummary/base.rst": "1",
    "docs/conf.py": "1",
    "examples/small/page.py": "1",
    "src/smallport/checks.py": "1",
    "packages": "1",
    rendering.COMMIT_DATE: "1",
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Give a project of one page that was built from KEY and passed."""
    docs = tmp_path / "docs"
    folders = {
        "ROOT": tmp_path,
        "DOCS": docs,
        "BUILD": docs / "_build",
        "GALLERY": docs / "gallery",
    }
    for name, folder in {**folders, "EXAMPLES": tmp_path / "examples"}.items():
        monkeypatch.setattr(project, name, folder)
    monkeypatch.setattr(rendering, "DOCTREES", docs / "_build" / "doctrees")
    monkeypatch.setattr(rendering, "STUBS", docs / "api")
    monkeypatch.setattr(rendering, "LAST_GOOD", docs / "_build" / "last_good.json")
    for name in (
        "docs/_build/doctrees/index.doctree",
        "docs/_build/html/index.html",
        "docs/api/smallport.checks.check.rst",
        "docs/conf.py",
        "docs/index.rst",
        "examples/small/page.py",
        "pyproject.toml",
        "constraints.txt",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("text")
        os.utime(file, (0, 0))
    rendering.note_good(KEY, began=1)
    return tmp_path


def test_a_site_is_current_until_anything_differs(root):
    assert rendering.is_current(KEY)
    assert not rendering.is_current({**KEY, "docs/assets.rst": "2"})
    assert not rendering.is_current({**KEY, "docs/new.rst": "1"})
    (root / "docs" / "_build" / "html" / "index.html").write_text("broken")
    assert not rendering.is_current(KEY)


@pytest.mark.parametrize(
    ("changed", "stubs_stay"),
    [
        ("docs/assets.rst", True),
        ("docs/_static/smallport.css", True),
        ("examples/small/page.py", True),
        ("src/smallport/checks.py", False),
        ("docs/_templates/autosummary/base.rst", False),
        (rendering.COMMIT_DATE, True),
    ],
)
def test_documents_stay_where_sphinx_knows_which_of_them_changed(root, changed, stubs_stay):
    site = root / "docs" / "_build" / "html"
    variables = rendering.clean_unless_current({**KEY, changed: "2"}, site)
    assert rendering.DOCTREES.exists()
    assert not site.exists()
    assert (settings.STUBS_CURRENT in variables) == stubs_stay


@pytest.mark.parametrize(
    "changed",
    [
        "docs/conf.py",
        "docs/_ext/provenance.py",
        "docs/api.rst",
        "tools/lint/opening.py",
        "constraints.txt",
        "packages",
        "documents",
        settings.SITE_URL,
    ],
)
def test_sphinx_starts_anew_where_any_document_may_have_changed(root, changed):
    rendering.clean_unless_current({**KEY, changed: "2"}, root / "html")
    assert not rendering.DOCTREES.exists()
    assert not rendering.STUBS.exists()


@pytest.mark.parametrize("held", [None, "", "{", "{}"])
def test_sphinx_starts_anew_after_a_build_that_did_not_pass(root, held):
    rendering.LAST_GOOD.unlink()
    if held is not None:
        rendering.LAST_GOOD.write_text(held)
    rendering.clean_unless_current(KEY, root / "html")
    assert not rendering.DOCTREES.exists()


def test_a_build_that_ends_nowhere_is_not_remembered_as_good(root):
    rendering.clean_unless_current(KEY, root / "html")
    assert not rendering.LAST_GOOD.exists()


def test_stubs_that_are_gone_are_made_again(root):
    (rendering.STUBS / "smallport.checks.check.rst").unlink()
    assert rendering.clean_unless_current(KEY, root / "html") == {}


def test_a_file_that_was_written_during_the_build_makes_the_next_one_start_anew(root):
    rendering.LAST_GOOD.unlink()
    (root / "docs" / "index.rst").write_text("edited, and perhaps edited back")
    rendering.note_good(KEY, began=1)
    assert not rendering.LAST_GOOD.exists()


def test_an_inventory_that_sphinx_fetched_makes_no_next_build(root):
    rendering.LAST_GOOD.unlink()
    inventory = root / "docs" / "_build" / "inventories" / "python.inv"
    inventory.parent.mkdir()
    inventory.touch()
    rendering.note_good(KEY, began=1)
    assert rendering.is_current(KEY)


def test_the_key_covers_files_settings_and_packages(root, monkeypatch):
    before = rendering.site_key()
    assert {"docs/conf.py", "docs/index.rst", "examples/small/page.py"} <= before.keys()
    assert not any(name.startswith(("docs/api", "docs/_build/html")) for name in before)
    monkeypatch.setenv(settings.SITE_URL, "https://example.org/")
    (root / "docs" / "index.rst").write_text("Other")
    (root / "docs" / "new.rst").write_text("New")
    monkeypatch.setattr(rendering.sys, "path", [])
    after = rendering.site_key()
    assert rendering.changed_parts(before, after) == {
        settings.SITE_URL,
        "docs/index.rst",
        "docs/new.rst",
        "documents",
        "packages",
    }
