"""Count the stages that architectures passed, and the errors that stopped them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from smallport.export.report import STAGES, ExportReport, StageReport

LONGEST_CAUSE = 160
"""The number of characters of an error that identify its cause."""

TELLING = (
    r"Guard failed",
    r"Constraints violated",
    r"Could not guard on data-dependent expression",
    r"No ONNX function found for .*",
)
"""Patterns for the cause of an error whose first line is about a model's dimensions, or about
nothing: the first that fits."""

VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\b\d[\d.,]*(?<!,)(?:e[+-]?\d+)?")
"""The parts that differ between two errors of one cause: names in quotes, and numbers."""


@dataclass(frozen=True)
class StageCount:
    """The number of architectures that passed a stage.

    Parameters
    ----------
    stage
        One of ``smallport.export.report.STAGES``.
    passed, failed, not_reached
        How many passed it, failed in it, and never came to it.
    differing, rejecting
        How many of those that failed computed other numbers than the model, and how many only
        rejected inputs that the model takes.
    unknown
        How many have no verdict.
    out_of_scope
        How many are not checked.
    """

    stage: str
    passed: int
    failed: int
    not_reached: int
    unknown: int
    differing: int = 0
    rejecting: int = 0
    out_of_scope: int = 0

    @property
    def total(self) -> int:
        """All architectures, to which ``passed`` relates."""
        parts = (self.passed, self.failed, self.not_reached, self.unknown, self.out_of_scope)
        return sum(parts)


@dataclass(frozen=True)
class Cause:
    """The error that stopped some architectures in one stage.

    Parameters
    ----------
    stage
        The stage.
    what
        The error, its type first, or the finding where there is none; with ``…`` in place of
        numbers and quoted names.
    architectures
        Those that it stopped, sorted.
    """

    stage: str
    what: str
    architectures: tuple[str, ...]


def count_stages(
    reports: Iterable[ExportReport], registered: int, out_of_scope: int = 0
) -> list[StageCount]:
    """Count each stage by itself.

    Parameters
    ----------
    reports
        One for each architecture that was checked.
    registered
        How many architectures there are, those included on which there is no report.
    out_of_scope
        How many of these are not checked.

    Returns
    -------
    list of StageCount
        In the order of the stages. Those are left out that only some models have, such as
        *decodes* where there are encoders.

    Raises
    ------
    ValueError
        When there are two reports on one architecture, or more reports than architectures.
    """
    reports = list(reports)
    names = {report.name for report in reports}
    checked = registered - out_of_scope
    if len(names) < len(reports) or len(reports) > checked:
        raise ValueError(
            f"count_stages: {len(reports)} reports on {len(names)} of {checked} architectures; "
            "each should have one report at most"
        )
    counts = []
    for stage in stages_in(reports):
        statuses = [report[stage].status for report in reports]
        passed, failed, not_reached = map(statuses.count, ("passed", "failed", "not reached"))
        failures = [report[stage] for report in reports if report[stage].status == "failed"]
        differing = sum(differs(one) for one in failures)
        rejecting = sum(bool(one.rejected) and not differs(one) for one in failures)
        counts.append(
            StageCount(
                stage,
                passed,
                failed,
                not_reached,
                checked - len(reports),
                differing,
                rejecting,
                out_of_scope,
            )
        )
    return counts


def stages_in(reports: Iterable[ExportReport]) -> list[str]:
    """List the stages that each of some reports has; all stages where there is no report."""
    found = [{one.stage for one in report.stages} for report in reports]
    return [stage for stage in STAGES if all(stage in stages for stages in found)]


def differs(failure: StageReport) -> bool:
    """Say whether a stage ran to the end of a comparison, and failed by its numbers."""
    return failure.largest_difference is not None and not failure.error


def counts_table(counts: Iterable[StageCount]) -> pd.DataFrame:
    """Put counts into a table, a row for each stage."""
    columns = [
        *("stage", "passed", "differ", "reject", "fail", "not reached"),
        *("no verdict", "out of scope", "of"),
    ]
    rows = [
        (
            one.stage,
            one.passed,
            one.differing,
            one.rejecting,
            one.failed - one.differing - one.rejecting,
            one.not_reached,
            one.unknown,
            one.out_of_scope,
            one.total,
        )
        for one in counts
    ]
    return pd.DataFrame(rows, columns=columns)


def frequent_causes(reports: Iterable[ExportReport]) -> list[Cause]:
    """Group the architectures that failed by the error.

    Parameters
    ----------
    reports
        One for each architecture that was checked.

    Returns
    -------
    list of Cause
        The most frequent first.
    """
    failures = ((report.name, report.failure()) for report in reports)
    return group_causes(
        (name, failure.stage, cause_of(failure)) for name, failure in failures if failure
    )


def group_causes(stopped: Iterable[tuple[str, str, str]]) -> list[Cause]:
    """Group architectures, each with its stage and cause, the most frequent cause first."""
    groups = defaultdict(list)
    for name, stage, cause in stopped:
        groups[stage, cause].append(name)
    causes = [Cause(*place, tuple(sorted(names))) for place, names in groups.items()]
    return sorted(causes, key=lambda cause: (-len(cause.architectures), cause.what))


def cause_of(failure: StageReport) -> str:
    """Shorten an error to the part that it shares with others of its cause."""
    for telling in TELLING:
        if found := re.search(telling, failure.error):
            return f"{failure.error.partition(':')[0]}: {found[0]}"
    said = next(iter((failure.error or failure.found).splitlines()), "")
    common = VARYING.sub("…", said)
    return common if len(common) <= LONGEST_CAUSE else f"{common[: LONGEST_CAUSE - 1]}…"
