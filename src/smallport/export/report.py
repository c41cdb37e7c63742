"""The report of a check, stage by stage, and its form as JSON."""

from __future__ import annotations

import importlib.metadata
import math
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from smallport import __version__
from smallport.export.coverage import NOTHING, Coverage
from smallport.export.explanation import Why

Stage = Literal[
    "built",
    "ran",
    "read",
    "exported",
    "matches",
    "stays dynamic",
    "decodes",
    "ONNX",
    "ONNX Runtime matches",
]
"""The names of stages as a type, with which type checkers find misspelt ones."""

STAGES: tuple[Stage, ...] = tuple(stage for stage in get_args(Stage) if stage != "read")
"""The stages of a check, in order; the first one that fails is the last to run."""

FILE_STAGES: tuple[Stage, ...] = ("built", "ran", "read", "matches", "decodes")
"""The stages of a check of a file that another exporter wrote."""

ENCODER_STAGES: tuple[Stage, ...] = tuple(stage for stage in STAGES if stage != "decodes")
"""The stages of a check of a model that writes no text, so that there is nothing to decode."""

SCHEMA = 1
"""The version of the JSON of a report; it changes when a key goes or means something else."""

WIDTH = 100
"""The longest line of a report, where no terminal has another."""

MARKS = {"passed": "passed", "failed": "FAILED", "not reached": "-"}
INDENT = " " * 21

NUMBERS = ("largest_difference", "error_ratio")
"""The keys of a stage whose numbers may be NaN or infinite, which JSON has not."""

WITHOUT_WHY = "again with --why finds where it begins"
"""The end of a comparison that failed, if nothing was looked for."""

PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "smallport")
"""The packages that a check needs, and whose versions its report names."""


@dataclass(frozen=True)
class StageReport:
    """The result of one stage.

    Parameters
    ----------
    stage
        One of ``STAGES``.
    status
        ``passed``, ``failed`` or ``not reached``. A stage that did not run is not reached, whatever
        the reason.
    found
        The finding, in a sentence; for a stage that was not reached, the reason.
    seconds
        How long it took.
    largest_difference
        The largest difference that was found, if the stage compares, as a share of its element or
        of typical elements of its tensor, whichever are larger; it may be NaN.
    where
        The tensor, the element and the shape of the inputs that it belongs to.
    error
        The error in full, type first; empty where there was none.
    recipe
        The anchor of the recipe that explains the error, without its ``recipe-``; or empty.
    rejected
        The inputs that the program rejects although the model takes them, each with what it says.
    error_ratio
        By how many times the errors of the program are larger than those that the model itself
        makes, both against float64: the root mean square or the largest error of a tensor at a
        shape, whichever is worse. None where nothing was compared in float64.
    why
        Where a difference begins, and its cause; None where nothing was looked for.

    Raises
    ------
    ValueError
        When there is no such stage or status, when nothing is said about what was found, or when a
        stage that was not reached claims to have found a difference.
    """

    stage: str
    status: str
    found: str
    seconds: float = 0.0
    largest_difference: float | None = None
    where: str = ""
    error: str = ""
    recipe: str = ""
    rejected: tuple[str, ...] = ()
    error_ratio: float | None = None
    why: Why | None = None

    def __post_init__(self) -> None:
        if self.stage not in (*STAGES, *FILE_STAGES):
            raise ValueError(f"StageReport: there is no stage {self.stage!r}, only {STAGES}")
        if self.status not in ("passed", "failed", "not reached"):
            raise ValueError(
                f"StageReport: {self.stage!r} is passed, failed or not reached, not {self.status!r}"
            )
        if not self.found:
            raise ValueError(f"StageReport: say what was found in the stage {self.stage!r}")
        if self.status == "not reached" and self.largest_difference is not None:
            raise ValueError(
                f"StageReport: {self.stage!r} was not reached, so it has no largest difference"
            )

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = WIDTH) -> str:
        """Write what the stage found, as the command prints it.

        Parameters
        ----------
        width
            The longest line, errors aside.

        Examples
        --------
        >>> print(StageReport("exported", "passed", "a program of 206 operations", 2.5))
        exported             passed   2.5 s  a program of 206 operations
        """
        head = f"{self.stage:<20} {MARKS[self.status]:<6} {self.seconds:>5.1f} s  "
        wrap = textwrap.TextWrapper(
            width, initial_indent=head, subsequent_indent=INDENT, break_long_words=False
        )
        lines = [wrap.fill(self.found)]
        wrap.initial_indent = INDENT
        if self.largest_difference is not None:
            place = f": {self.where}" if self.where else ""
            lines.append(
                wrap.fill(f"largest relative difference {self.largest_difference:.2g}{place}")
            )
        if self.error_ratio is not None:
            lines.append(
                wrap.fill(f"errors against float64 {self.error_ratio:.3g} times the model's own")
            )
        lines += [wrap.fill(f"rejects {one}") for one in self.rejected]
        if self.error:
            lines.append(textwrap.indent(self.error, INDENT))
        if self.recipe:
            lines.append(f"{INDENT}explained by: smallport explain {self.recipe}")
        if self.why:
            lines.append(self.why.text(width, INDENT))
        elif self.status == "failed" and self.largest_difference is not None and not self.error:
            lines.append(wrap.fill(WITHOUT_WHY))
        return "\n".join(lines)


@dataclass(frozen=True)
class ExportReport:
    """The results of a check, from the first stage to the last.

    It is true where it passed, so that a test can assert it, and its text is what ``smallport
    check`` prints.

    Parameters
    ----------
    name
        The model: a ``model_type``, a folder, a name on the hub or a class.
    stages
        A report for each of ``STAGES``, in their order; of a file, of ``FILE_STAGES``; of a model
        that writes no text, of ``ENCODER_STAGES``.
    versions
        The version of each package that was used.
    command
        The shell command that repeats the check.
    until
        The last stage that was asked for; the last of all if left out.
    coverage
        The parts of the model that were compared, and those that were left out.

    Raises
    ------
    ValueError
        When a stage is missing or out of place, when one passed or failed after one that did not
        pass, since it cannot have run, or when there is no stage that ``until`` names.

    Examples
    --------
    >>> stages = [StageReport("built", "failed", "no such configuration")]
    >>> stages += [StageReport(stage, "not reached", "built failed") for stage in STAGES[1:]]
    >>> report = ExportReport("llama", tuple(stages), {"torch": "2.13.0"}, "smallport check llama")
    >>> report.passed(), report.failure().stage, report["ONNX"].status
    (False, 'built', 'not reached')
    """

    name: str
    stages: tuple[StageReport, ...]
    versions: Mapping[str, str]
    command: str
    until: Stage = STAGES[-1]
    coverage: Coverage = NOTHING

    def __post_init__(self) -> None:
        if self._order not in (STAGES, FILE_STAGES, ENCODER_STAGES):
            raise ValueError(f"ExportReport: wanted the stages {STAGES}, found {self._order}")
        if self.until not in self._order:
            raise ValueError(f"ExportReport: there is no stage {self.until!r}, only {self._order}")
        statuses = [one.status for one in self.stages]
        last = next((place for place, status in enumerate(statuses) if status != "passed"), None)
        if last is not None and set(statuses[last + 1 :]) - {"not reached"}:
            raise ValueError(
                f"ExportReport: {self.stages[last].stage!r} did not pass, so the stages after it "
                f"are not reached, not {', '.join(statuses[last + 1 :])}"
            )

    @property
    def _order(self) -> tuple[str, ...]:
        return tuple(one.stage for one in self.stages)

    def __getitem__(self, stage: str) -> StageReport:
        if stage not in self._order:
            raise KeyError(f"there is no stage {stage!r}, only {', '.join(self._order)}")
        return self.stages[self._order.index(stage)]

    def __bool__(self) -> bool:
        return self.passed()

    def passed(self) -> bool:
        """Say whether every stage that was asked for ran and passed.

        A stage that was not reached did not.
        """
        asked_for = self.stages[: self._order.index(self.until) + 1]
        return all(one.status == "passed" for one in asked_for)

    def __str__(self) -> str:
        ran = [str(stage) for stage in self.stages if stage.status != "not reached"]
        return "\n".join([*ran, self.verdict()])

    def verdict(self, width: int = WIDTH) -> str:
        """Write the compared parts, the command that repeats the check, and the verdict.

        This is what the command prints after the stages.

        Parameters
        ----------
        width
            The longest line, except that of the command, which stays in one line to be copied.
        """
        wrap = textwrap.TextWrapper(width, subsequent_indent="    ", break_long_words=False)
        missed = [stage.stage for stage in self.stages if stage.status == "not reached"]
        lines = [f"not reached: {', '.join(missed)}"] if missed else []
        lines += str(self.coverage).splitlines()
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        lines.append(f"with {versions}")
        wrapped = [wrap.fill(line) for line in lines]
        if self.command:
            wrapped.append(f"again: {self.command}")
        return "\n".join([*wrapped, "", wrap.fill(self._last_line())])

    def _last_line(self) -> str:
        """Name the stage that failed, or the limits within which the model passed."""
        if failure := self.failure():
            return f"{self.name} fails: {failure.stage}"
        asked_for = "every stage" if self.until == self._order[-1] else f"until {self.until}"
        within = self.coverage.within()
        task = "".join(self.coverage.compared.get("task", ()))
        asked_for += f" as {task}" if task not in ("", "causal-lm") else ""
        limits = f" within {within}" if within else "; nothing was compared"
        left_out = ", ".join(self.coverage.not_compared)
        beyond = f"; not compared: {left_out}" if left_out else ""
        return f"{self.name} passes {asked_for}{limits}{beyond}"

    def failure(self) -> StageReport | None:
        """Find the stage that failed; None where none did."""
        return next((one for one in self.stages if one.status == "failed"), None)

    def to_json(self) -> dict[str, Any]:
        """Make what :func:`json.dump` writes.

        A difference that is no number is kept as ``"nan"`` or ``"inf"``, since JSON has neither.
        """
        stages = [asdict(one) for one in self.stages]
        for stage in stages:
            for name in NUMBERS:
                if stage[name] is not None and not math.isfinite(stage[name]):
                    stage[name] = str(stage[name])
        for stage, one in zip(stages, self.stages, strict=True):
            stage["why"] = one.why and one.why.to_json()
        return {
            "schema": SCHEMA,
            "name": self.name,
            "stages": stages,
            "versions": dict(self.versions),
            "command": self.command,
            "coverage": self.coverage.to_json(),
            "until": self.until,
            "passed": self.passed(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ExportReport:
        """Read back what :meth:`to_json` made.

        Parameters
        ----------
        data
            As :func:`json.load` gives it.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is not the report of a check, or one of a later schema.
        """
        if (schema := data.get("schema", SCHEMA)) != SCHEMA:  # reports of before have none
            raise ValueError(
                f"ExportReport: the schema is {schema}, and this release reads {SCHEMA}"
            )
        stages = []
        for entry in data["stages"]:
            given = (entry.get(name) for name in NUMBERS)
            numbers = (None if number is None else float(number) for number in given)
            rejected = tuple(entry.get("rejected", ()))  # reports of before have none
            read = {**entry, **dict(zip(NUMBERS, numbers, strict=True)), "rejected": rejected}
            why = Why.from_json(entry.get("why"))
            stages.append(StageReport(**{**read, "why": why}))
        until = data.get("until", stages[-1].stage)  # reports of earlier releases have none
        coverage = Coverage.from_json(data.get("coverage", {}))
        versions = dict(data["versions"])
        return cls(data["name"], tuple(stages), versions, data["command"], until, coverage)


def versions_used() -> dict[str, str]:
    """Look up the versions of the packages that are used, without a local label such as +cpu.

    Of this package, the release counts: that of the distribution changes with each commit.
    """
    versions = {name: importlib.metadata.version(name).partition("+")[0] for name in PACKAGES}
    return versions | {"smallport": __version__}
