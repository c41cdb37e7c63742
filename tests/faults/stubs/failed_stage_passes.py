"""A check that counts a stage as passed that failed or was skipped."""

from smallport.export import StageReport, check


def apply():
    def careless(stage, *_):
        return StageReport(stage, "passed", "nothing was looked at", largest_difference=0.0)

    check._report = careless  # noqa: SLF001
