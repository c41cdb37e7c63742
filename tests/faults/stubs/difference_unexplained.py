"""A scoreboard with an architecture that differs, and nobody looked into it."""

import dataclasses

from smallport.sweep import scoreboard


def apply():
    read = scoreboard.read_scoreboard

    def read_scoreboard():
        kept = read()
        phi = kept.reports["phi"]
        *passed, last = phi.stages
        last = dataclasses.replace(last, status="failed", largest_difference=0.5)
        phi = dataclasses.replace(phi, stages=(*passed, last))
        return dataclasses.replace(kept, reports={**kept.reports, "phi": phi})

    scoreboard.read_scoreboard = read_scoreboard
