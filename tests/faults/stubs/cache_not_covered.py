"""A release with which every verdict is the same, and no cache is compared any more."""

from dataclasses import replace

from tests.faults.quick_sweep import report_otherwise


def apply():
    def without_cache(_, report):
        compared = {**report.coverage.compared, "outputs": ["logits"], "number of tensors": [1]}
        compared = compared if report.coverage.compared else {}
        return replace(report, coverage=replace(report.coverage, compared=compared))

    report_otherwise(without_cache)
