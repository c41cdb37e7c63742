"""Each kind of hole has checks that exist, and faults that fail because of them, at real lines."""

import pkgutil

import pytest

from tests.faults import test_build_faults, test_demo_faults
from tests.faults.kinds import KINDS
from tests.faults.test_number_faults import FAULTS

STUBS = {fault.stub for fault in FAULTS}
OF_EVERY_PAGE = {
    *(page.stem for page in test_build_faults.SPOILED),
    *test_build_faults.TAMPERED,
    *test_build_faults.IMPOSSIBLE,
    *test_demo_faults.FAULTS,
}
"""Faults of the build and of the demo, which they find whatever the page."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.hole)
def test_a_kind_has_checks_and_at_least_four_faults_on_two_pages(kind):
    for check in kind.checks:
        pkgutil.resolve_name(check)
    assert not {*kind.faults} - STUBS - OF_EVERY_PAGE
    assert len({*kind.faults}) >= 4
    pages = {fault.page for fault in FAULTS if fault.stub in kind.faults}
    assert len(pages) >= 2 or {*kind.faults} <= OF_EVERY_PAGE


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.page.stem}-{fault.stub}")
def test_a_fault_names_a_line_of_its_page(fault):
    lines = fault.page.read_text(encoding="utf-8").splitlines()
    assert any(line.strip().startswith(fault.line) for line in lines)
