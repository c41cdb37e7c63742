"""The stored verdict on Bloom is that on Mistral."""

from tests.faults import stored_copy


def apply():
    def copy(name, kept):
        if name == "sweep":
            reports = {report["name"]: report for report in kept["results"]["reports"]}
            reports["bloom"].update(reports["mistral"], name="bloom")

    stored_copy.edit(copy, sealed=True)
