"""The report of a check, stage by stage, and its form as JSON."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from smallport import __version__
from smallport.export.coverage import Coverage

STAGES = (
    "built",
    "ran",
    "exported",
    "matches",
    "stays dynamic",
    "decodes",
    "ONNX",
    "ONNX Runtime matches",
)
"""The stages of a check, in order; the first one that fails is the last to run."""

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
        What was found, in a sentence; for a stage that was not reached, why.
    seconds
        How long it took.
    largest_difference
        The largest difference that was found, if the stage compares, as a share of the largest
        element of its tensor; it may be NaN.
    where
        The tensor, the element and the shape of the inputs that it belongs to.
    error
        The error in full, type first; empty where there was none.
    recipe
        The anchor of the recipe that explains the error, without its ``recipe-``; or empty.

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

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
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


@dataclass(frozen=True)
class ExportReport:
    """The results of a check, from the first stage to the last.

    Parameters
    ----------
    name
        The model: a ``model_type``, a folder, a name on the hub or a class.
    stages
        A report for each of ``STAGES``, in their order.
    versions
        The version of each package that was used.
    command
        What repeats the check, in a shell.
    coverage
        What was compared, and what the model has beyond that.

    Raises
    ------
    ValueError
        When a stage is missing or out of place, or when one passed or failed after one that did not
        pass: it cannot have run.

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
    coverage: Coverage = field(default_factory=Coverage)

    def __post_init__(self) -> None:
        stages = tuple(one.stage for one in self.stages)
        if stages != STAGES:
            raise ValueError(f"ExportReport: wanted the stages {STAGES}, found {stages}")
        statuses = [one.status for one in self.stages]
        last = next((place for place, status in enumerate(statuses) if status != "passed"), None)
        if last is not None and set(statuses[last + 1 :]) - {"not reached"}:
            raise ValueError(
                f"ExportReport: {self.stages[last].stage!r} did not pass, so the stages after it "
                f"are not reached, not {', '.join(statuses[last + 1 :])}"
            )

    def __getitem__(self, stage: str) -> StageReport:
        return self.stages[STAGES.index(stage)]

    def passed(self) -> bool:
        """Say whether every stage ran and passed; a stage that was not reached did not."""
        return all(one.status == "passed" for one in self.stages)

    def failure(self) -> StageReport | None:
        """Find the stage that failed; None where none did."""
        return next((one for one in self.stages if one.status == "failed"), None)

    def to_json(self) -> dict[str, Any]:
        """Make what :func:`json.dump` writes.

        A difference that is no number is kept as ``"nan"`` or ``"inf"``, since JSON has neither.
        """
        stages = [asdict(one) for one in self.stages]
        for stage in stages:
            difference = stage["largest_difference"]
            if difference is not None and not -float("inf") < difference < float("inf"):
                stage["largest_difference"] = str(difference)
        return {
            "name": self.name,
            "stages": stages,
            "versions": dict(self.versions),
            "command": self.command,
            "coverage": self.coverage.to_json(),
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
            When it is not the report of a check.
        """
        stages = []
        for entry in data["stages"]:
            difference = entry.get("largest_difference")
            number = None if difference is None else float(difference)
            stages.append(StageReport(**{**entry, "largest_difference": number}))
        coverage = Coverage.from_json(data.get("coverage", {}))
        return cls(data["name"], tuple(stages), dict(data["versions"]), data["command"], coverage)


def versions_used() -> dict[str, str]:
    """Look up the versions of the packages that are used, without a local label such as +cpu.

    Of this package, the release counts: that of the distribution changes with each commit.
    """
    versions = {name: importlib.metadata.version(name).partition("+")[0] for name in PACKAGES}
    return versions | {"smallport": __version__}
