"""The stored results of a sweep, and their comparison with later verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from smallport import measured
from smallport.architectures.tasks import CAUSAL, TASKS, split_name
from smallport.export.report import STAGES, ExportReport
from smallport.keys import code_key
from smallport.soundness import ALONE, EARLIER, MASK, STEPS
from smallport.sweep.counts import StageCount, count_stages
from smallport.sweep.verdicts import Verdict, asked_for

SOUND = (ALONE, EARLIER, STEPS, MASK)
"""The checks that a model has to pass that a program of it is compared with."""

NAME = "sweep"
"""The name of the stored results of causal language modelling."""


@dataclass(frozen=True)
class Scoreboard:
    """The results of a sweep, with their date and machine.

    Parameters
    ----------
    registered
        Every architecture that there was, also those without a report.
    reports
        The reports, by architecture.
    provenance
        When, where and with what.
    no_verdict
        Why there is no report, such as ``ran out of 300 s (in exported)``, where that is known.
    check
        A digest of the code of the check; empty in results that were stored without.
    out_of_scope
        Why an architecture is not checked, for those that are not.
    """

    registered: tuple[str, ...]
    reports: Mapping[str, ExportReport]
    provenance: measured.Provenance
    no_verdict: Mapping[str, str] = field(default_factory=dict)
    check: str = ""
    out_of_scope: Mapping[str, str] = field(default_factory=dict)

    def counts(self) -> list[StageCount]:
        """Count each stage, in relation to all registered architectures."""
        return count_stages(self.reports.values(), len(self.registered), len(self.out_of_scope))

    @property
    def task(self) -> str:
        """The task of the architectures."""
        return task_of(self.registered)


def save(
    file: Path,
    registered: Sequence[str],
    reports: Iterable[ExportReport],
    *,
    command: str,
    no_verdict: Mapping[str, str] | None = None,
    out_of_scope: Mapping[str, str] | None = None,
) -> None:
    """Write the results of a sweep to a file.

    Parameters
    ----------
    file
        The file.
    registered
        Every architecture that there is.
    reports
        The reports, at most one for each architecture. Those without one are stored as such.
    command
        The command that repeats the sweep.
    no_verdict
        By architecture, why there is no report.
    out_of_scope
        By architecture, why it is not checked.

    Raises
    ------
    ValueError
        When there are two reports on one architecture, or one on none of those that there are; or
        when the architectures are of several tasks.
    """
    found = {report.name: report for report in reports}
    task_of(registered)
    if stray := sorted(set(found) - set(registered)):
        raise ValueError(f"save: {', '.join(stray)}: registered by nothing; pass all names")
    results = {
        "registered": list(registered),
        "reports": [found[name].to_json() for name in registered if name in found],
        "no_verdict": dict(no_verdict or {}),
        "out_of_scope": dict(out_of_scope or {}),
        "check": code_key("smallport.sweep.worker"),
    }
    measured.write(file, results, command=command)


def task_of(names: Iterable[str]) -> str:
    """Name the one task of some architectures; ValueError if there are several."""
    tasks = {split_name(name)[1] for name in names}
    if len(tasks) > 1:
        raise ValueError(f"architectures of {', '.join(sorted(tasks))}: store each task in a file")
    return tasks.pop() if tasks else CAUSAL


def results_name(task: str) -> str:
    """Name the results of a task that come with the package.

    Examples
    --------
    >>> results_name("causal-lm"), results_name("masked-lm")
    ('sweep', 'sweep-masked-lm')
    """
    return NAME if task == CAUSAL else f"{NAME}-{task}"


def read_scoreboard(name: Path | str = NAME) -> Scoreboard:
    """Read the results of a sweep.

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
        no_verdict = dict(kept.results.get("no_verdict", {}))
        check = str(kept.results.get("check", ""))
        out_of_scope = dict(kept.results.get("out_of_scope", {}))
        task_of(registered)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name} does not hold the results of a sweep: {error!r}") from error
    found = {report.name: report for report in reports}
    return Scoreboard(registered, found, kept.provenance, no_verdict, check, out_of_scope)


def stored_seconds() -> dict[str, float]:
    """Look up how long each architecture took in the results that come with the package."""
    seconds = {}
    for task in TASKS:
        with suppress(FileNotFoundError):
            for name, report in read_scoreboard(results_name(task)).reports.items():
                seconds[name] = sum(stage.seconds for stage in report.stages)
    return seconds


def comparable(live: Iterable[Verdict], kept: Scoreboard) -> list[Verdict]:
    """Choose the verdicts that were found with the versions of the stored ones.

    Parameters
    ----------
    live
        The new verdicts.
    kept
        The stored results.
    """
    return [
        verdict
        for verdict in live
        if verdict.model_type in kept.reports
        and dict(verdict.report.versions) == dict(kept.reports[verdict.model_type].versions)
    ]


def contradictions(live: Iterable[Verdict], kept: Scoreboard) -> list[str]:
    """List the stages in which new verdicts differ from the stored ones.

    Compared is of each stage that was asked for whether it passed, and of the first what it built:
    differences and messages may vary with the processor, class and number of parameters may not.

    Parameters
    ----------
    live
        The new verdicts, with the same versions.
    kept
        The stored results.

    Returns
    -------
    list of str
        A sentence for each stage that ended otherwise; empty where all agree.

    Raises
    ------
    ValueError
        When a verdict cannot be compared, or when there is none.
    """
    live = list(live)
    if not live or comparable(live, kept) != live:
        raise ValueError(
            "contradictions: no verdict, or one without a kept report of the same versions; "
            "choose those that smallport.sweep.scoreboard.comparable returns"
        )
    found = []
    for now in live:
        for stage in asked_for(now.report, now.until):
            before = kept.reports[now.model_type][stage.stage]
            if (stage.status, bool(stage.rejected)) != (before.status, bool(before.rejected)):
                found.append(
                    f"{now.model_type}: {stage.stage!r} is {stage.status}, and was {before.status} "
                    f"on {kept.provenance.date}: {stage.error or stage.found}"
                )
            elif stage.stage == STAGES[0] and stage.found != before.found:
                found.append(
                    f"{now.model_type}: {stage.found} was built, and {before.found} on "
                    f"{kept.provenance.date}, so one verdict is about another model"
                )
    return found


def less_compared(live: Iterable[Verdict], kept: Scoreboard) -> list[str]:
    """List the parts that new verdicts do not compare and the stored ones do, with any versions.

    Architectures whose program was compared both times are looked at. Texts that are shorter than
    any of now belong to later stages than *matches*, and are left out. A verdict with the stored
    seconds is listed, too, since it repeats the stored one; and so is one whose model itself is
    wrong.

    Parameters
    ----------
    live
        The new verdicts, with any versions.
    kept
        The stored results.

    Returns
    -------
    list of str
        A sentence for each; empty where as much was compared as before.
    """
    found = []
    for now in sorted(live, key=lambda one: one.model_type):
        before = kept.reports.get(now.model_type)
        if before is None or not all(
            one["matches"].status == "passed" for one in (now.report, before)
        ):
            continue
        old, new = before.coverage.compared, now.report.coverage.compared
        if now.report["exported"].seconds == before["exported"].seconds > 0:
            found.append(
                f"{now.model_type}: the export took the {before['exported'].seconds:g} s of "
                f"{kept.provenance.date}: the stored verdict is repeated, and nothing was compared"
            )
        if wrong := [one for one in SOUND if one not in new.get("model itself", ())]:
            found.append(f"{now.model_type}: the model itself is wrong: {', '.join(wrong)}")
        shortest = min(new.get("lengths", ()), default=0)
        lost = {
            part: [one for one in old.get(part, ()) if one not in new.get(part, ())]
            for part in ("outputs", "batch sizes", "padding", "lengths")
        }
        lost["lengths"] = [one for one in lost["lengths"] if one > shortest]
        number, before_that = (sum(one.get("number of tensors", ())) for one in (new, old))
        lost["tensors"] = (
            [f"{before_that - number} of {before_that}"] if number < before_that else []
        )
        found += [
            f"{now.model_type}: not compared any more: {part} {', '.join(map(str, those))}, which "
            f"the sweep of {kept.provenance.date} compared"
            for part, those in lost.items()
            if those
        ]
    return found
