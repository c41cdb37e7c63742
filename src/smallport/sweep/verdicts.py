"""The verdicts of a sweep, and their place on disk: one file for each architecture."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from smallport.architectures.tasks import file_name
from smallport.export.report import STAGES, ExportReport, StageReport
from smallport.files import write_json
from smallport.keys import code_key, key_of
from smallport.measured import installed_versions
from smallport.sweep.limits import Limits


@dataclass(frozen=True)
class Conditions:
    """The conditions that a verdict holds for; under others, it may differ.

    Parameters
    ----------
    versions
        Of the packages that build, export and run the models.
    rules
        A digest of the tiny configuration and of the code of the check.
    """

    versions: dict[str, str]
    rules: str


@cache
def conditions(model_type: str) -> Conditions:
    """Describe the conditions of a verdict that this process finds on an architecture."""
    rules = key_of(_configuration(model_type), code_key("smallport.sweep.worker"))
    return Conditions(installed_versions(), rules)


def _configuration(model_type: str) -> str:
    from smallport.architectures.tiny import tiny_config  # noqa: PLC0415 - imports transformers

    try:
        return str(tiny_config(model_type).to_json_string())
    except Exception as error:  # noqa: BLE001 - whatever it is, the verdict will be about it
        return repr(error)


@dataclass(frozen=True)
class Verdict:
    """The result of a sweep for one architecture.

    Parameters
    ----------
    report
        Stage by stage.
    conditions
        The conditions under which it holds.
    until
        The last of ``STAGES`` that was asked for.
    seconds
        How long its process ran.
    megabytes
        The most memory that its process took; None where the system does not tell.

    Raises
    ------
    ValueError
        When the report claims a stage beyond the last one, or when it neither failed nor says
        anything about one of those that were asked for.
    """

    report: ExportReport
    conditions: Conditions
    until: str
    seconds: float
    megabytes: float | None

    def __post_init__(self) -> None:
        asked = asked_for(self.report, self.until)
        beyond = self.report.stages[len(asked) :]
        done = [one.stage for one in beyond if one.status != "not reached"]
        if done:
            raise ValueError(f"Verdict: asked until {self.until!r}, and the report has {done[0]!r}")
        if first_missing_stage(self.report, self.until):
            raise ValueError(
                f"Verdict: nothing failed on {self.model_type!r}, and yet "
                f"{first_missing_stage(self.report, self.until)!r} was not reached"
            )

    @property
    def model_type(self) -> str:
        """The architecture."""
        return self.report.name

    def __str__(self) -> str:
        failure = self.report.failure()
        found = (
            f"failed in {failure.stage}: {failure.found}"
            if failure
            else f"passed until {self.until}"
        )
        return f"{self.model_type}: {found} ({self.seconds:.1f} s)"

    def covers(self, until: str) -> bool:
        """Say whether this tells about every stage up to one, or about the failure before it."""
        reached = STAGES.index(self.until) >= STAGES.index(until)
        return reached or self.report.failure() is not None

    def to_json(self) -> dict[str, Any]:
        """Make what :func:`json.dump` writes."""
        return {
            "report": self.report.to_json(),
            "conditions": asdict(self.conditions),
            "until": self.until,
            "seconds": self.seconds,
            "megabytes": self.megabytes,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Verdict:
        """Read back what :meth:`to_json` made.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is no verdict.
        """
        return cls(
            ExportReport.from_json(data["report"]),
            Conditions(**data["conditions"]),
            data["until"],
            data["seconds"],
            data["megabytes"],
        )


@dataclass(frozen=True)
class NoVerdict:
    """The reason why a sweep has no verdict on an architecture, which says nothing about it.

    Parameters
    ----------
    model_type
        The architecture.
    cause
        The cause, such as ``the disk is full``.
    stage
        The stage that its process was in; None before the first one.
    conditions
        The conditions under which it ran.
    seconds, megabytes
        The limit that ended it, if one did. With a higher one, it may come further.
    """

    model_type: str
    cause: str
    stage: str | None = None
    conditions: Conditions | None = None
    seconds: float | None = None
    megabytes: float | None = None

    def __str__(self) -> str:
        return f"{self.model_type}: no verdict: {self.cause}"

    def limit(self) -> str:
        """Name the limit that ended the process: ``seconds``, ``megabytes``, or neither."""
        limits = {"seconds": self.seconds, "megabytes": self.megabytes}
        return next((name for name, number in limits.items() if number is not None), "")

    def holds(self, until: str, limits: Limits) -> bool:
        """Say whether a process with these limits would end before the last stage again."""
        stage = STAGES.index(self.stage) if self.stage else 0
        ended_by = self.seconds if self.seconds is not None else self.megabytes
        allowed = limits.seconds if self.seconds is not None else limits.megabytes
        return stage <= STAGES.index(until) and ended_by is not None and allowed <= ended_by


def first_missing_stage(report: ExportReport, until: str) -> str | None:
    """Name the first stage about which a report should say something, and does not."""
    if report.failure():
        return None
    asked = asked_for(report, until)
    return next((one.stage for one in asked if one.status == "not reached"), None)


def asked_for(report: ExportReport, until: str) -> tuple[StageReport, ...]:
    """List what a report says up to a stage, which encoders may not have."""
    last = STAGES.index(until)
    return tuple(one for one in report.stages if STAGES.index(one.stage) <= last)


@dataclass(frozen=True)
class Verdicts:
    """A folder of verdicts, one file for each architecture.

    Parameters
    ----------
    folder
        The folder. It is made when the first verdict is written.
    """

    folder: Path

    def write(self, found: Verdict | NoVerdict) -> None:
        """Write a verdict, in place of an older one on the same architecture, whole or not at all.

        If there is none because a limit ended the process, the limit is stored next to an older
        verdict. Other reasons are forgotten.

        Parameters
        ----------
        found
            The verdict, or the reason for none.
        """
        limit_file = self._limit_file(found.model_type)
        if isinstance(found, Verdict):
            write_json(self._file(found.model_type), found.to_json(), indent=1)
            limit_file.unlink(missing_ok=True)
        elif found.limit():
            write_json(limit_file, asdict(found), indent=1)

    def read_limit(self, model_type: str, until: str, limits: Limits) -> NoVerdict | None:
        """Read which limit ended the process of an architecture, if it would do so again."""
        try:
            data = json.loads(self._limit_file(model_type).read_text(encoding="utf-8"))
            ended = NoVerdict(**{**data, "conditions": Conditions(**data["conditions"])})
            holds = ended.model_type == model_type and ended.holds(until, limits)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return ended if holds and ended.conditions == conditions(model_type) else None

    def read(self, model_type: str, until: str = STAGES[-1]) -> Verdict | None:
        """Read the verdict on an architecture, if there is a valid one.

        Parameters
        ----------
        model_type
            The architecture.
        until
            The last stage about which it has to say something, unless one before that failed.

        Returns
        -------
        Verdict or None
            None where there is none, where it was found with other versions, by other rules or
            by another check, where it does not go far enough, and where the file is no verdict.
        """
        try:
            data = json.loads(self._file(model_type).read_text(encoding="utf-8"))
            verdict = Verdict.from_json(data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        holds = verdict.model_type == model_type and verdict.covers(until)
        return verdict if holds and verdict.conditions == conditions(model_type) else None

    def read_all(self, model_types: Iterable[str], until: str = STAGES[-1]) -> list[Verdict]:
        """Read the valid verdicts on some architectures, in the order of the architectures.

        Parameters
        ----------
        model_types
            The architectures.
        until
            As for :meth:`read`.
        """
        read = (self.read(model_type, until) for model_type in model_types)
        return [verdict for verdict in read if verdict]

    def remove_unfinished(self) -> None:
        """Remove incomplete files of a sweep that was killed."""
        for partial in self.folder.glob(".*.json-*"):
            shutil.rmtree(partial, ignore_errors=True)

    def _file(self, model_type: str) -> Path:
        return self.folder / f"{file_name(model_type)}.json"

    def _limit_file(self, model_type: str) -> Path:
        return self.folder / f"{file_name(model_type)}.limit.json"
