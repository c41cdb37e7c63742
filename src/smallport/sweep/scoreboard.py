"""A sweep's results as they are kept for the site, and whether a later verdict agrees with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smallport import measured
from smallport.export.report import STAGES, ExportReport
from smallport.sweep.counts import StageCount, count_stages
from smallport.sweep.verdicts import Verdict

NAME = "sweep"
"""The name of the kept results that the scoreboard shows."""


@dataclass(frozen=True)
class Scoreboard:
    """What a sweep found, with when and where it did.

    Parameters
    ----------
    registered
        Every architecture that there was, also those without a report.
    reports
        What was found, by architecture.
    provenance
        When, where and with what.
    """

    registered: tuple[str, ...]
    reports: Mapping[str, ExportReport]
    provenance: measured.Provenance

    def counts(self) -> list[StageCount]:
        """Count each stage, against all architectures that there were."""
        return count_stages(self.reports.values(), len(self.registered))


def keep(
    file: Path, registered: Sequence[str], reports: Iterable[ExportReport], *, command: str
) -> None:
    """Write what a sweep found to a file of results.

    Parameters
    ----------
    file
        The file.
    registered
        Every architecture that there is.
    reports
        What was found, a report for each architecture.
    command
        What to type to find it out again.

    Raises
    ------
    ValueError
        When there is no report on some architecture: a scoreboard leaves none out.
    """
    found = {report.name: report for report in reports}
    if missing := sorted(set(registered) - set(found)):
        raise ValueError(
            f"keep: no report on {', '.join(missing[:5])}{' ...' if missing[5:] else ''} "
            f"({len(missing)} of {len(registered)}); sweep all architectures, through all stages"
        )
    results = {
        "registered": list(registered),
        "reports": [found[name].to_json() for name in registered],
    }
    measured.write(file, results, command=command)


def read_scoreboard(name: Path | str = NAME) -> Scoreboard:
    """Read what a sweep found.

    Parameters
    ----------
    name
        As for :func:`smallport.measured.read`; by default the results that come with the package.

    Raises
    ------
    FileNotFoundError
        When there are no such results.
    ValueError
        When they are not those of a sweep, or do not say where they come from.
    """
    kept = measured.read(name)
    try:
        reports = [ExportReport.from_json(entry) for entry in kept.results["reports"]]
        registered = tuple(kept.results["registered"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name} does not hold the results of a sweep: {error!r}") from error
    return Scoreboard(registered, {report.name: report for report in reports}, kept.provenance)


def contradictions(live: Iterable[Verdict], kept: Scoreboard) -> list[str]:
    """List where verdicts found now are others than the kept ones.

    Only reports that were made with the same versions are compared, and of each stage that was
    asked for whether it passed: differences and messages may vary with the processor.

    Parameters
    ----------
    live
        What was found now.
    kept
        What was found before.

    Returns
    -------
    list of str
        A sentence for each stage that ended otherwise; empty where all agree.

    Raises
    ------
    ValueError
        When there is nothing to compare: no report was made with the versions of the kept one.
    """
    pairs = [
        (verdict, kept.reports[verdict.model_type])
        for verdict in live
        if verdict.model_type in kept.reports
        and dict(verdict.report.versions) == dict(kept.reports[verdict.model_type].versions)
    ]
    if not pairs:
        raise ValueError("contradictions: no kept report was made with these versions")
    return [
        f"{now.model_type}: {stage.stage!r} is {stage.status}, and was "
        f"{before[stage.stage].status} on {kept.provenance.date}: {stage.error or stage.found}"
        for now, before in pairs
        for stage in now.report.stages[: STAGES.index(now.until) + 1]
        if stage.status != before[stage.stage].status
    ]
