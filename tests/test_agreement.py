"""What a download measured and printed is compared with its page."""

import json

import pytest

from tools.downloads import agreement


def result(value, unit="MB", at_most=None, at_least=None):
    bounds = {"at_most": at_most, "at_least": at_least}
    return {"size": {"name": "size", "value": value, "unit": unit, **bounds}}


@pytest.mark.parametrize(
    ("page", "run"),
    [
        (result(3, at_most=4), result(3.9, at_most=4)),
        (result(3, at_least=2), result(2.0)),
        (result(3), result(3.0000001)),
        (result(3, "s"), result(30, "s")),
    ],
)
def test_numbers_within_the_bounds_of_the_page_agree(page, run):
    assert list(agreement.measured_otherwise(page, run)) == []


@pytest.mark.parametrize(
    ("page", "run", "message"),
    [
        (result(3, at_most=4), result(4.1, at_most=5), "at most 4"),
        (result(3, at_least=2), result(1.9), "at least 2"),
        (result(3, "s", at_most=4), result(5, "s"), "at most 4"),
        (result(3), result(3.1), "the page has 3 MB"),
        (result(3), {}, "its page did"),
        ({}, result(3), "its page did not"),
    ],
)
def test_other_numbers_do_not(page, run, message):
    (found,) = agreement.measured_otherwise(page, run)
    assert message in found


def test_what_a_clock_measured_may_be_printed_otherwise():
    page, run = ["a: median 1 s (1 to 2)", "b  \n"], ["a: median 3 s (2 to 4)\n", "b\n\n"]
    assert list(agreement.printed_otherwise(page, run)) == []


def test_a_download_may_say_that_less_is_installed():
    line = "not as here: transformers 5.23.0 (here not installed)\n"
    assert list(agreement.printed_otherwise(["a", "b"], ["a", line + "b"])) == []


@pytest.mark.parametrize(
    ("page", "run"), [(["a"], ["b"]), (["a"], []), ([], ["a"]), (["a", "b"], ["a"])]
)
def test_anything_else_may_not(page, run):
    assert len(list(agreement.printed_otherwise(page, run))) == 1


def test_results_are_read_by_name(tmp_path):
    file = tmp_path / "results.jsonl"
    assert agreement.read_results(file) == {}
    entries = [{"Source": {}}, {"Result": result(3)["size"]}]
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert agreement.read_results(file) == result(3)
