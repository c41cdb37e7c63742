"""The results and the output of a download are compared with its page."""

import json

import pytest

from tools.downloads import agreement


def result(value, unit="MB", at_most=None, at_least=None):
    bounds = {"at_most": at_most, "at_least": at_least}
    return {"size": {"name": "size", "value": value, "unit": unit, **bounds}}


@pytest.mark.parametrize(
    ("page", "run"),
    [
        (result(3, at_most=4), result(3, at_most=4)),
        (result(3, "s"), result(30, "s")),
        (result(3, "×", at_least=2), result(2.5, "×", at_least=2)),
    ],
)
def test_equal_numbers_and_timings_within_their_bounds_agree(page, run):
    assert list(agreement.result_differences(page, run)) == []


@pytest.mark.parametrize(
    ("page", "run", "message"),
    [
        (result(3, at_most=4), result(3.0000001, at_most=4), "at most 4"),
        (result(3, "×", at_least=2), result(1.9, "×", at_least=1), "at least 2"),
        (result(3, "s", at_most=4), result(5, "s"), "at most 4"),
        (result(3), result(3.1), "the page has 3 MB"),
        (result(3), {}, "its page did"),
        ({}, result(3), "its page did not"),
    ],
)
def test_different_numbers_do_not(page, run, message):
    (found,) = agreement.result_differences(page, run)
    assert message in found


def test_a_size_that_depends_on_paths_has_to_be_within_its_bounds():
    (name,) = agreement.WITH_PATHS
    page = {name: result(37.5, at_most=38)["size"]}
    assert not list(agreement.result_differences(page, {name: result(37.6)["size"]}))
    assert list(agreement.result_differences(page, {name: result(38.1)["size"]}))


def test_timings_may_be_printed_differently():
    page, run = ["a: median 1 s (1 to 2)", "b  \n"], ["a: median 3 s (2 to 4)\n", "b\n\n"]
    assert list(agreement.output_differences(page, run)) == []


ABSENT = "not as here: transformers 5.23.0 (here not installed)"


@pytest.mark.parametrize("page", [["a", "b"], ["a", ABSENT.replace("not inst", "5.24"), "b"]])
def test_a_download_may_lack_a_package_that_the_site_has(page):
    assert list(agreement.output_differences(page, ["a", f"{ABSENT}\nb"])) == []


@pytest.mark.parametrize(
    ("page", "run"),
    [
        (["a"], ["b"]),
        (["a"], []),
        ([], ["a"]),
        (["a", "b"], ["a"]),
        (["a", ABSENT], ["a"]),
        (["a"], ["a", ABSENT.replace("not installed", "5.24.0")]),
    ],
)
def test_anything_else_may_not_differ(page, run):
    assert len(list(agreement.output_differences(page, run))) == 1


def test_a_script_prints_every_line_of_its_page_in_order_and_tables_between_them():
    assert list(agreement.lines_missing(["a", "b"], ["a\na table\nb\n"])) == []
    assert list(agreement.lines_missing(["a", "b"], ["b\na\n"])) == [
        "did not print 'b', which the page shows"
    ]


def test_results_are_read_by_name(tmp_path):
    file = tmp_path / "results.jsonl"
    assert agreement.read_results(file) == {}
    entries = [{"Source": {}}, {"Result": result(3)["size"]}]
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert agreement.read_results(file) == result(3)
