"""Find out about one architecture in a process of its own, whatever that process does."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from smallport.export.recipes import error_text
from smallport.export.report import STAGES, ExportReport, StageReport, versions_used
from smallport.sweep.limits import Ending, Limits, run_limited
from smallport.sweep.verdicts import Verdict, conditions, first_missing_stage

CHILD = ("-X", "faulthandler", "-m", "smallport.sweep.worker")
"""Python's arguments for the process, before the architecture and the file."""

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",  # the models are tiny, and other processes run beside them
    "TOKENIZERS_PARALLELISM": "false",
}


class ProcessEnded(Exception):  # noqa: N818 - as a verdict calls it
    """The process of an architecture ended before its report was whole; the message says how."""


@dataclass(frozen=True)
class Task:
    """An architecture, and how to find out about it.

    Parameters
    ----------
    model_type
        The architecture.
    until
        The last stage.
    limits
        What its process may take.
    child
        Arguments for Python that start the process; the architecture, a file for the report and
        ``--until`` follow.
    """

    model_type: str
    until: str = STAGES[-1]
    limits: Limits = field(default_factory=Limits)
    child: tuple[str, ...] = CHILD


def check_in_process(task: Task) -> Verdict:
    """Find out about an architecture.

    Where its process ended before it had reported on every stage, the stage that it was in failed,
    and its error is what ended the process.
    """
    with tempfile.TemporaryDirectory(prefix="smallport-sweep-") as scratch:
        file = Path(scratch, "report.json")
        arguments = (task.model_type, str(file), "--until", task.until)
        command = [sys.executable, *task.child, *arguments]
        ending = run_limited(command, task.limits, **ENVIRONMENT)
        report = _read(file, task)
    if stage := first_missing_stage(report, task.until):
        report = failed(report, stage, ending)
    return Verdict(
        report,
        conditions(task.model_type),
        task.until,
        round(ending.seconds, 2),
        ending.megabytes and round(ending.megabytes),
    )


def _read(file: Path, task: Task) -> ExportReport:
    """Read what a process reported; it may have reported on no stage yet."""
    with suppress(FileNotFoundError):
        return ExportReport.from_json(json.loads(file.read_text(encoding="utf-8")))
    return with_unreached_stages(task.model_type, [], command(task.model_type))


def with_unreached_stages(name: str, ran: Sequence[StageReport], again: str) -> ExportReport:
    """Make a report of the stages that ran so far; those to come are not reached."""
    later = STAGES[len(ran) :]
    stages = (*ran, *(StageReport(stage, "not reached", "it did not run yet") for stage in later))
    return ExportReport(name, stages, versions_used(), again)


def command(model_type: str) -> str:
    """Write the command that checks one architecture."""
    return f"smallport check {model_type}"


def failed(report: ExportReport, stage: str, ending: Ending) -> ExportReport:
    """Say of a stage that its process ended, and of those after it that they were not reached."""
    found = ending.cause or "The process ended without a report on every stage."
    said = f"{found}\n{ending.output}".strip()
    place = STAGES.index(stage)
    stages = (
        *report.stages[:place],
        StageReport(stage, "failed", found, error=error_text(ProcessEnded(said))),
        *(StageReport(later, "not reached", f"{stage} failed") for later in STAGES[place + 1 :]),
    )
    return replace(report, stages=stages)
