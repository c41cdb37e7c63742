"""Tests of :mod:`tools.compat.table`, and of the page that shows the grid."""

import pytest
from bs4 import BeautifulSoup

import compatibility
from smallport import measured
from tools.compat import grid as compat_grid
from tools.compat.routes import OUTCOMES, ROUTES
from tools.compat.table import UNKNOWN, Grid, in_words, ranges, read_grid

RELEASES = ["5.1", "5.2", "5.3", "5.4"]
APART = "works with transformers 5.1 to 5.4 on torch 2.1, and with transformers 5.3 on torch 2.2"
LETTERS = {"m": "matches", "e": "exported", "r": "rejected", "c": "cannot be imported", "?": ""}


def entries(route, torch, letters):
    """Make the cells of a route on one torch, from a letter for each release."""
    return [
        {
            "route": route,
            "transformers": release,
            "torch": torch,
            "outcome": LETTERS[letter],
            "found": {"m": "", "?": "The process ran for more than 9 s."}.get(letter, "E: <why>"),
            "traceback": "File <x>" if letter in "erc" else "",
        }
        for release, letter in zip(RELEASES, letters, strict=True)
        if letter != " "
    ]


def stored(**torch_2):
    """Make stored results of two routes and two releases of torch."""
    letters = {"one": "mmrc", "two": "mmrc"} | torch_2
    return {
        "transformers": RELEASES,
        "torch": ["2.1", "2.2"],
        "newest": {"transformers": "5.4"},
        "needs": {"route a": {}, "route b": {"optree": "0.20.0"}},
        "python": "3.11",
        "cells": [
            *entries("route a", "2.1", letters["one"]),
            *entries("route a", "2.2", letters["two"]),
            *entries("route b", "2.1", "cccc"),
            *entries("route b", "2.2", "ccc?"),
        ],
    }


def test_sentences_name_ranges_where_all_releases_of_torch_agree():
    assert Grid.from_json(stored()).sentences("route a") == (
        "The route works with transformers 5.1 to 5.2, on torch 2.1 and 2.2. "
        "The export raises an error with transformers 5.3, on torch 2.1 and 2.2. "
        "It cannot be imported with transformers 5.4, on torch 2.1 and 2.2."
    )


@pytest.mark.parametrize(
    ("one", "two", "works"),
    [
        ("mmmm", "mmmm", "works with transformers 5.1 to 5.4, on torch 2.1 and 2.2"),
        ("mrmm", "mrmm", "works with transformers 5.1 and 5.3 to 5.4, on torch 2.1 and 2.2"),
        ("m?mr", "m?mr", "works with transformers 5.1 and 5.3, on torch 2.1 and 2.2"),
        ("mm m", "mm m", "works with transformers 5.1 to 5.2 and 5.4, on torch 2.1 and 2.2"),
        ("mmmm", "rrmr", APART),
        ("rrrr", "rrrm", "works with transformers 5.4 on torch 2.2"),
        ("eeee", "rrrr", "works with no release in the grid"),
    ],
)
def test_a_range_never_covers_a_release_in_which_the_route_does_not_work(one, two, works):
    assert Grid.from_json(stored(one=one, two=two)).works("route a") == works


def test_cells_without_a_result_are_told_from_failures():
    grid = Grid.from_json(stored())
    assert "There is no result with transformers 5.4 on torch 2.2." in grid.sentences("route b")
    assert grid.runs() == "transformers 5.1 to 5.3, on torch 2.1 and 2.2"


@pytest.mark.parametrize(
    ("one", "two", "line"),
    [
        ("mmrc", "mmrc", '"torch==2.2" "transformers==5.2"'),
        ("mmmr", "mmrr", '"torch==2.1" "transformers==5.3"'),
        ("rrrr", "erc?", ""),
    ],
)
def test_the_install_line_has_the_newest_versions_that_work(one, two, line):
    expected = f"python -m pip install {line}" if line else ""
    assert Grid.from_json(stored(one=one, two=two)).install_line("route a") == expected


def test_the_install_line_has_what_the_route_needs():
    data = stored()
    data["cells"][-1]["outcome"] = "matches"
    assert Grid.from_json(data).install_line("route b").endswith('==5.4" "optree==0.20.0"')


@pytest.mark.parametrize("data", [{}, [], {"transformers": []}])
def test_results_of_something_else_are_rejected(data):
    with pytest.raises(ValueError, match="no compatibility grid"):
        Grid.from_json(data)


def test_an_outcome_of_another_name_is_rejected():
    data = stored()
    data["cells"][0]["outcome"] = "fine"
    with pytest.raises(ValueError, match="outcomes of unknown names: fine"):
        Grid.from_json(data)


def test_ranges_and_lists():
    assert ranges([], RELEASES) == []
    assert ranges(["5.4", "5.1"], RELEASES) == ["5.1", "5.4"]
    assert in_words([]) == ""


@pytest.fixture
def file(tmp_path):
    """Write the results into a file, with a cell that is not stored at all."""
    file = tmp_path / "compat.json"
    measured.write(file, stored(two="mmr "), command="nox -s compat")
    return file


def test_the_page_has_a_table_for_each_torch(file):
    soup = BeautifulSoup(compatibility.render("grid.html", file), "html.parser")
    assert [one.get_text() for one in soup.find_all("caption")] == ["torch 2.1", "torch 2.2"]
    second = soup.find_all("table")[1]
    assert [one.get_text() for one in second.find_all("th", scope="row")] == ["route a", "route b"]
    rows = [
        [cell.get_text(strip=True) for cell in row.find_all("td")]
        for row in second.tbody.find_all("tr")
    ]
    assert rows[0] == ["✓matches", "✓matches", "✗rejected", "?no result"]
    assert rows[1] == [*["⊘cannot be imported"] * 3, "?no result"]
    assert soup.find("th", string=lambda text: text and text.startswith("5.4")) is None
    assert "newest" in soup.find_all("th", scope="col")[4].get_text()


def test_each_failing_cell_leads_to_its_error(file):
    table = BeautifulSoup(compatibility.render("grid.html", file), "html.parser")
    routes = BeautifulSoup(compatibility.render("routes.html", file), "html.parser")
    places = {one["id"] for one in routes.find_all(id=True)}
    links = [one["href"].removeprefix("#") for one in table.select("td a")]
    failing = [one for one in table.select("td") if "matches" not in one.get_text()]
    assert len(links) == len(failing) == 12
    assert set(links) <= places
    assert "E: <why>" in routes.get_text()
    assert "The process ran for more than 9 s." in routes.get_text()
    assert "it is not in the stored results" in routes.get_text()


def test_the_answer_names_every_route(file):
    soup = BeautifulSoup(compatibility.render("answer.html", file), "html.parser")
    assert len(soup.find_all("li")) == 2
    assert "A Llama runs with transformers 5.1 to 5.3, on torch 2.1 and 2.2." in soup.get_text()


def test_the_page_knows_every_route_and_outcome():
    assert compatibility.ABOUT.keys() == ROUTES.keys()
    assert list(compatibility.SIGNS) == [*OUTCOMES, UNKNOWN]


def test_the_stored_grid_is_whole():
    grid, provenance = read_grid()
    assert grid.routes == tuple(ROUTES)
    assert set(compat_grid.TORCH) <= set(grid.torch)
    assert {*compat_grid.TRANSFORMERS} - {compat_grid.NEWEST} <= set(grid.transformers)
    unknown = [one for one in grid.entries.values() if one.outcome == UNKNOWN]
    assert not unknown
    assert len(grid.entries) == len(grid.routes) * len(grid.torch) * len(grid.transformers)
    assert provenance.command == compat_grid.COMMAND


def test_no_path_of_a_machine_is_stored():
    grid, _ = read_grid()
    for one in grid.entries.values():
        assert "site-packages" not in one.traceback + one.found, one
        assert 'File "/' not in one.traceback, one
