"""A release with which every model of the sweep sees later tokens, eager and exported."""

from dataclasses import replace

from tests.faults.quick_sweep import report_otherwise


def apply():
    def bidirectional(_, report):
        compared = dict(report.coverage.compared)
        if compared:
            compared["model itself"] = ["step by step", "mask", "text alone"]
        return replace(report, coverage=replace(report.coverage, compared=compared))

    report_otherwise(bidirectional)
