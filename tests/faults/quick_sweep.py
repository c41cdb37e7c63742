"""Sweep with stored verdicts in place of new ones, for faults that lie in what a sweep reports."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from smallport.export.report import STAGES, ExportReport
from smallport.sweep import runner
from smallport.sweep.judge import with_unreached_stages
from smallport.sweep.scoreboard import SOUND, read_scoreboard
from smallport.sweep.verdicts import Verdict, conditions


def report_otherwise(change: Callable[[str, ExportReport], ExportReport]) -> None:
    """Have a sweep report something else; it checks only what is not stored.

    A stored report is as a new one would be: with other times, and of a model that is right.
    """
    sweep = runner.sweep

    def changed(names: list[str], verdicts: Any, executor: Any, *, until: str) -> Iterator[Verdict]:
        stored = read_scoreboard().reports
        found = list(
            sweep([name for name in names if name not in stored], verdicts, executor, until=until)
        )
        for name in sorted({*names} & {*stored}):
            kept = stored[name]
            stages = kept.stages[: STAGES.index(until) + 1]
            again = tuple(replace(one, seconds=1.01 * one.seconds) for one in stages)
            compared = {**kept.coverage.compared, "model itself": list(SOUND)}
            coverage = replace(kept.coverage, compared=compared if kept.coverage.compared else {})
            report = replace(with_unreached_stages(name, again, ""), coverage=coverage)
            found.append(Verdict(report, conditions(name), until, 1.0, None))
            verdicts.write(found[-1])
        for one in found:
            yield replace(one, report=change(one.model_type, one.report))

    runner.sweep = changed
