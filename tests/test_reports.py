"""An issue about a page is filled in with what the page ran on."""

from urllib.parse import parse_qs, urlsplit

import pytest

import reports
from smallport.records import Result
from tools.gallery import runs

ENVIRONMENT = runs.Environment(
    commit="0123",
    date="2026-11-20T21:52:00+00:00",
    processor="A processor",
    int8_dot_products=(),
    cores=2,
    versions={"torch": "2.13.0"},
    assets="embedded",
)
RUN = runs.Run("small/page.py", "", ENVIRONMENT, seconds=1)


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setenv(reports.REPOSITORY, "https://example.org/project/")


def fields(address):
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def test_without_a_repository_there_is_no_address():
    assert reports.issue_address(RUN, []) == ""


@pytest.mark.usefixtures("known")
def test_the_issue_names_page_versions_and_checks():
    address = reports.issue_address(RUN, [Result("loss & gap", 3.1, "nats")])
    assert address.startswith("https://example.org/project/issues/new?")
    assert fields(address)["title"] == "small/page.py: "
    body = fields(address)["body"]
    for part in ("small/page.py", "0123", "A processor", "torch 2.13.0", "- loss & gap: 3.1"):
        assert part in body


@pytest.mark.usefixtures("known")
def test_an_address_that_is_too_long_leaves_checks_out_and_says_so():
    many = [Result(f"a check with a name of some length, {n}", n, "MB") for n in range(1, 400)]
    address = reports.issue_address(RUN, many)
    assert len(address) <= reports.LONGEST
    body = fields(address)["body"]
    shown = body.count("- a check with")
    assert 0 < shown < len(many)
    assert f"- and {len(many) - shown} more" in body
