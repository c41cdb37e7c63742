"""A sweep that reports of a broken model that it passed."""

from dataclasses import replace

from smallport.architectures.broken import BROKEN
from tests.faults.quick_sweep import report_otherwise


def apply():
    def lenient(name, report):
        stages = tuple(
            replace(one, status="passed") if name == BROKEN and one.status == "failed" else one
            for one in report.stages
        )
        return replace(report, stages=stages)

    report_otherwise(lenient)
