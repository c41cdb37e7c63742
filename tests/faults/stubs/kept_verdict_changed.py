"""A scoreboard that shows another verdict than the one that is found with the same versions."""

import dataclasses

from smallport.export.report import STAGES, StageReport
from smallport.sweep import scoreboard


def apply():
    read = scoreboard.read_scoreboard

    def read_scoreboard():
        kept = read()
        failed = [StageReport("built", "failed", "it was not built")]
        failed += [StageReport(stage, "not reached", "built failed") for stage in STAGES[1:]]
        bloom = dataclasses.replace(kept.reports["bloom"], stages=tuple(failed))
        return dataclasses.replace(kept, reports={**kept.reports, "bloom": bloom})

    scoreboard.read_scoreboard = read_scoreboard
