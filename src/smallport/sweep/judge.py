"""Check one architecture in a separate process, which may crash or hang."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from smallport.architectures.tasks import MASKED, split_name
from smallport.export.recipes import error_text
from smallport.export.report import (
    ENCODER_STAGES,
    STAGES,
    ExportReport,
    Stage,
    StageReport,
    versions_used,
)
from smallport.sweep import fork_server
from smallport.sweep.limits import Ending, Limits, limit, run_limited
from smallport.sweep.verdicts import NoVerdict, Verdict, conditions, first_missing_stage

CHILD = ("-X", "faulthandler", "-m", "smallport.sweep.worker")
"""Python's arguments for the process, before the architecture and the file.

Where that is possible, a process of these is copied from one that has imported everything.
"""

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",  # the models are tiny, and other processes run beside them
    "TOKENIZERS_PARALLELISM": "false",
}


FULL_DISK = "the disk is full"
ACCIDENTS = {
    FULL_DISK: r"No space left on device|Disk quota exceeded|\[Errno (28|122)\]",
    "the memory of this machine is used up": r"\bMemoryError\b|an(no|')t allocate memory|bad_alloc",
}
"""Errors that are about the machine and not about the architecture, with their words."""

FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
"""Signals by which a user or the system ends a process."""


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
        The limits of its process.
    child
        Arguments for Python that start the process; the architecture, a file for the report and
        ``--until`` follow.
    """

    model_type: str
    until: str = STAGES[-1]
    limits: Limits = field(default_factory=Limits)
    child: tuple[str, ...] = CHILD


def check_in_process(task: Task) -> Verdict | NoVerdict:
    """Find out about an architecture.

    Where its process ended before it had reported on every stage, the stage that it was in failed,
    and its error is what ended the process. There is no verdict where a limit, the machine or
    a user ended it, nor where it ended before the first stage.
    """
    try:
        return _check_in_process(task)
    except OSError as error:  # of this process, which made no folder for the report, for instance
        return NoVerdict(task.model_type, accident(str(error)) or str(error))


def _check_in_process(task: Task) -> Verdict | NoVerdict:
    with tempfile.TemporaryDirectory(prefix="smallport-sweep-") as scratch:
        file = Path(scratch, "report.json")
        arguments = (task.model_type, str(file), "--until", task.until)
        if task.child == CHILD and fork_server.AVAILABLE:
            start = functools.partial(fork_server.SHARED.start, arguments, variables=ENVIRONMENT)
            ending = limit(start, task.limits)
        else:
            child = [sys.executable, *task.child, *arguments]
            ending = run_limited(child, task.limits, **ENVIRONMENT)
        report = _read(file)
    found = _no_verdict(task, report, ending)
    if found or report is None:
        return found or NoVerdict(task.model_type, _unbegun(ending))
    if stage := first_missing_stage(report, task.until):
        report = failed(report, stage, ending)
    return Verdict(
        report,
        conditions(task.model_type),
        task.until,
        round(ending.seconds, 2),
        ending.megabytes and round(ending.megabytes),
    )


def _read(file: Path) -> ExportReport | None:
    """Read what a process reported; None before its first stage."""
    with suppress(FileNotFoundError):
        return ExportReport.from_json(json.loads(file.read_text(encoding="utf-8")))
    return None


def _no_verdict(task: Task, report: ExportReport | None, ending: Ending) -> NoVerdict | None:
    """Say what kept the process from a verdict, if something did that is not the architecture."""
    stage, exceeded = None, ""
    if report is not None and (failure := report.failure()):
        stage, cause = failure.stage, accident(failure.error)
    elif report is not None and not (stage := first_missing_stage(report, task.until)):
        return None
    else:
        cause, exceeded = _what_ended(ending, task.limits), ending.exceeded
    if not cause:
        return None
    limit = {exceeded: getattr(task.limits, exceeded)} if exceeded else {}
    place = f"in {stage}" if stage else "before the first stage"
    return NoVerdict(
        task.model_type, f"{cause} ({place})", stage, conditions(task.model_type), **limit
    )


def _unbegun(ending: Ending) -> str:
    """Say how a process ended that did not come to its first stage: that is not about a model."""
    how = f"t{ending.cause[1:-1]}" if ending.cause else "the process reported nothing"
    last = ending.output.strip().rpartition("\n")[2]
    return f"{how} (before the first stage){f': {last}' if last else ''}"


def _what_ended(ending: Ending, limits: Limits) -> str:
    """Say what ended a process, if that was a limit, the machine, or somebody else."""
    if ending.exceeded == "seconds":
        return f"ran out of {limits.seconds:g} s"
    if ending.exceeded == "megabytes":
        return f"ran out of {limits.megabytes:g} MB of memory"
    if ending.returncode == os.EX_CANTCREAT:
        return FULL_DISK
    if -ending.returncode in FROM_OUTSIDE:
        return f"the p{ending.cause[5:-1]}"
    return accident(ending.output)


def accident(error: str) -> str:
    """Say what an error tells about the machine; empty where it is about the architecture.

    Examples
    --------
    >>> accident("OSError: [Errno 28] No space left on device"), accident("ValueError: 3")
    ('the disk is full', '')
    """
    return next((what for what, words in ACCIDENTS.items() if re.search(words, error)), "")


def with_unreached_stages(name: str, ran: Sequence[StageReport], again: str) -> ExportReport:
    """Make a report of the stages that ran so far; those to come are not reached."""
    later = stages_of(name)[len(ran) :]
    stages = (*ran, *(StageReport(stage, "not reached", "it did not run yet") for stage in later))
    return ExportReport(name, stages, versions_used(), again)


def stages_of(name: str) -> tuple[Stage, ...]:
    """List the stages of the check of an architecture.

    Examples
    --------
    >>> set(stages_of("bert")) - set(stages_of("bert:masked-lm"))
    {'decodes'}
    """
    return ENCODER_STAGES if split_name(name)[1] == MASKED else STAGES


def command(model_type: str) -> str:
    """Write the command that checks one architecture."""
    return f"smallport check {model_type}"


def failed(report: ExportReport, stage: str, ending: Ending) -> ExportReport:
    """Say of a stage that its process ended, and of those after it that they were not reached."""
    found = ending.cause or "The process ended without a report on every stage."
    said = f"{found}\n{ending.output}".strip()
    order = [one.stage for one in report.stages]
    place = order.index(stage)
    stages = (
        *report.stages[:place],
        StageReport(stage, "failed", found, error=error_text(ProcessEnded(said))),
        *(StageReport(later, "not reached", f"{stage} failed") for later in order[place + 1 :]),
    )
    return replace(report, stages=stages)
