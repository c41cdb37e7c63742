"""Somebody edited the stored results by hand."""

from tests.faults import stored_copy


def apply():
    stored_copy.edit(
        lambda _, kept: kept["provenance"]["versions"].update(torch="2.13.1"), sealed=False
    )
