"""The stored results were measured at a commit that this project does not have."""

from tests.faults import stored_copy


def apply():
    stored_copy.edit(lambda _, kept: kept["provenance"].update(commit="0" * 12), sealed=True)
