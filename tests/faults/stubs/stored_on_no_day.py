"""The stored results were measured on a day that does not exist."""

from tests.faults import stored_copy


def apply():
    stored_copy.edit(lambda _, kept: kept["provenance"].update(date="2031-02-30"), sealed=True)
