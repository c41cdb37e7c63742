"""The ratio of a stored cell lies outside its interval."""

from tests.faults import stored_copy


def apply():
    def widen(name, kept):
        if name.startswith("grid"):
            cell = kept["results"]["cells"][7]
            cell["ratio"] = 1.01 * cell["high"]

    stored_copy.edit(widen, sealed=True)
