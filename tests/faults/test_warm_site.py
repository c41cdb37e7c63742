"""A site that is built upon the one before it is the same as one that is built from nothing."""

import re

import pytest

pytestmark = pytest.mark.fault

FIRST, SECOND, THIRD = "small/plot_10_first", "small/plot_20_second", "last/plot_30_third"
CHECKED = "src/smallport/checks.py"
OKAPI = "    at_least: float | None = None,\n    okapi: int = 7,  # noqa: ARG001\n) -> None:"


def change_nothing(project):
    """Leave everything as it is."""


def change_a_page(project):
    """Give a page another title and other objects to use."""
    project.write_page(SECOND, "from smallport import checks\n\nchecks.report('two', 2)")
    project.change(f"examples/{SECOND}.py", "The page plot_20_second", "A title with seldom words")


def change_a_module(project):
    """Give a function another sentence and another parameter."""
    project.change(CHECKED, "Assert a claim about a measured number", "Assert an okapi")
    project.change(CHECKED, "    at_least: float | None = None,\n) -> None:", OKAPI)


def change_a_text(project):
    """Give a text another title, a target, and words to search for."""
    project.change(
        "docs/results.rst", "Results\n=======", ".. _found:\n\nFigures\n=======\n\nAn okapi.\n"
    )
    project.change("docs/index.rst", "Small\n=====", "Small\n=====\n\nSee :ref:`found`.")


def change_the_looks(project):
    """Change a style sheet, whose checksum is on every page, and a template."""
    project.change("docs/_static/smallport.css", "{", "{\n  --okapi: 1;")
    project.change("docs/_templates/search-button-field.html", "<button", '<button data-okapi="1"')


def files_of(project) -> dict[str, bytes]:
    """Read every file of the site."""
    files = (file for file in sorted(project.site.rglob("*")) if file.is_file())
    return {file.relative_to(project.site).as_posix(): file.read_bytes() for file in files}


def differing(one, other) -> list[str]:
    """Name the files that are not the same in two sites."""
    return sorted(name for name in one | other if one.get(name) != other.get(name))


@pytest.mark.parametrize(
    "change",
    [change_nothing, change_a_page, change_a_module, change_a_text, change_the_looks],
    ids=lambda change: change.__name__,
)
def test_it_is_the_same_after(change, project):
    before = files_of(project)
    change(project)
    build = project.build()
    build.assert_green()
    warm = files_of(project)
    if change is change_nothing:
        assert differing(warm, before) == []
        assert "updating environment" not in build.output
    else:
        assert re.search(r"updating environment: .*0 added, [0-9]+ changed", build.output)
        (project.root / "docs" / "_build" / "last_good.json").unlink()
        project.build().assert_green()
        assert differing(warm, files_of(project)) == []
        assert differing(warm, before)
