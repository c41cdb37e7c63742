"""Summaries of earlier sweeps, with which a later sweep can be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smallport import measured
from smallport.export.report import ExportReport
from smallport.files import write_json
from smallport.measured.trust import require_sealed, seal
from smallport.sweep.counts import cause_of
from smallport.sweep.scoreboard import Scoreboard


@dataclass(frozen=True)
class Outcome:
    """A summary of the verdict on one architecture, and of the tensors that were compared.

    Parameters
    ----------
    passed
        How many stages passed, from the first on.
    stopped_in
        The stage after those; empty where all passed.
    cause
        The cause, as in :class:`smallport.sweep.counts.Cause`.
    tensors, outputs, caches
        How many tensors were compared, and those outputs and kinds of cache that they belong to.
    not_compared
        The parts of the model that were left out.
    """

    passed: int
    stopped_in: str = ""
    cause: str = ""
    tensors: int = 0
    outputs: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    not_compared: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether every stage passed."""
        return not self.stopped_in

    @classmethod
    def of(cls, report: ExportReport) -> Outcome:
        """Shorten a report."""
        stopped = next((one for one in report.stages if one.status != "passed"), None)
        compared = report.coverage.compared
        return cls(
            passed=[*report.stages, stopped].index(stopped),
            stopped_in=stopped.stage if stopped else "",
            cause=cause_of(stopped) if stopped else "",
            tensors=max(compared.get("number of tensors", ()), default=0),
            outputs=tuple(compared.get("outputs", ())),
            caches=tuple(compared.get("caches", ())),
            not_compared=tuple(report.coverage.not_compared),
        )

    def to_json(self) -> dict[str, Any]:
        """Make what :func:`json.dump` writes, without what is empty."""
        return {key: value for key, value in asdict(self).items() if value or key == "passed"}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Read back what :meth:`to_json` made.

        Raises
        ------
        TypeError
            When it is no outcome.
        """
        lists = {key: tuple(one) for key, one in data.items() if isinstance(one, list)}
        return cls(**{**data, **lists})


@dataclass(frozen=True)
class Summary:
    """The outcomes of one sweep, and the versions that they hold for.

    Parameters
    ----------
    provenance
        When, where and with what.
    check
        A digest of the code of the check; empty where it was not stored.
    registered
        Every architecture that there was.
    outcomes
        By architecture, those without a verdict left out.
    """

    provenance: measured.Provenance
    check: str
    registered: tuple[str, ...]
    outcomes: Mapping[str, Outcome]

    @classmethod
    def of(cls, scoreboard: Scoreboard) -> Summary:
        """Shorten the results of a sweep."""
        outcomes = {name: Outcome.of(report) for name, report in scoreboard.reports.items()}
        return cls(scoreboard.provenance, scoreboard.check, scoreboard.registered, outcomes)

    def to_json(self) -> dict[str, Any]:
        """Make what :func:`json.dump` writes."""
        outcomes = {name: one.to_json() for name, one in self.outcomes.items()}
        results = {"check": self.check, "registered": self.registered, "outcomes": outcomes}
        return {"provenance": asdict(self.provenance), "results": results}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Summary:
        """Read back what :meth:`to_json` made.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is no summary.
        """
        kept = measured.from_json(data)
        outcomes = {name: Outcome.from_json(one) for name, one in kept.results["outcomes"].items()}
        registered = tuple(kept.results["registered"])
        if stray := sorted(set(outcomes) - set(registered)):
            raise ValueError(f"{', '.join(stray)}: an outcome, and not registered")
        return cls(kept.provenance, kept.results["check"], registered, outcomes)


def history_file(file: Path) -> Path:
    """Name the file next to a scoreboard that has the sweeps before it."""
    return file.with_name(f"{file.stem}-history.json")


def read_history(file: Path) -> list[Summary]:
    """Read the sweeps before a scoreboard, the oldest first; none where there is no such file.

    Parameters
    ----------
    file
        The scoreboard.

    Raises
    ------
    ValueError
        When the file next to it does not hold summaries of sweeps, or comes with the package and
        was changed.
    """
    history = history_file(file)
    if not history.exists():
        return []
    require_sealed(history)
    try:
        return [Summary.from_json(entry) for entry in json.loads(history.read_text("utf-8"))]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{history} does not hold summaries of sweeps: {error!r}") from error


def remember(file: Path, before: Scoreboard) -> None:
    """Add a sweep to the history of a scoreboard that is to replace it.

    A sweep with the same versions that is already there gives way: of each version set, one sweep
    is remembered, the last.

    Parameters
    ----------
    file
        The scoreboard.
    before
        The sweep to remember.

    Raises
    ------
    ValueError
        When the history cannot be read.
    """
    versions = dict(before.provenance.versions)
    others = [one for one in read_history(file) if dict(one.provenance.versions) != versions]
    entries = [*others, Summary.of(before)]
    write_json(history_file(file), [one.to_json() for one in entries], indent=1)
    seal(history_file(file))
