"""The outcome of a sweep next to that of transformers' own export tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from smallport import measured
from smallport.export.report import ExportReport
from smallport.sweep.counts import differs

NAME = "export_skips"
"""The name of the stored facts about those tests."""

KINDS: Mapping[str, str] = {
    "agree": "agree",
    "skipped": "skipped there, passes here",
    "differs": "tested there, differs here",
    "fails": "tested there, fails here",
    "unknown": "not known",
}
"""The outcomes of both for an architecture, of which exactly one applies."""


@dataclass(frozen=True)
class ExportTests:
    """The treatment of one architecture in transformers' own tests.

    Parameters
    ----------
    skips
        Where they skip it, and the reason in a few of their words.
    tests
        The address of the test module that exports it; empty where that is not known.
    """

    skips: tuple[tuple[str, str], ...] = ()
    tests: str = ""


@dataclass(frozen=True)
class UpstreamTests:
    """The treatment of architectures in transformers' own tests.

    Parameters
    ----------
    commit, address
        The commit of transformers, and the file that was read.
    ignored
        The share of the elements that may differ in those tests.
    architectures
        By architecture, those left out of which nothing is known.
    """

    commit: str
    address: str
    ignored: float
    architectures: Mapping[str, ExportTests]

    def kind(self, name: str, report: ExportReport | None) -> str:
        """Say which of ``KINDS`` an architecture is.

        Parameters
        ----------
        name
            The architecture.
        report
            The report of the sweep; None where it has no verdict.
        """
        known = self.architectures.get(name, ExportTests())
        if report is None or not (known.skips or known.tests):
            return "unknown"
        failure = report.failure()
        if known.skips:
            return "agree" if failure else "skipped"
        if failure is None:
            return "agree"
        return "differs" if differs(failure) else "fails"


def read_upstream(name: Path | str = NAME) -> UpstreamTests:
    """Read the stored facts about transformers' own tests.

    Parameters
    ----------
    name
        As for :func:`smallport.measured.read`; by default the facts that come with the package.

    Raises
    ------
    FileNotFoundError
        When there are none.
    ValueError
        When the file holds something else.
    """
    results = measured.read(name).results
    try:
        architectures = {
            name: ExportTests(
                tuple((where, reason) for where, reason in one.get("skips", ())),
                one.get("tests", ""),
            )
            for name, one in results["architectures"].items()
        }
        return UpstreamTests(
            results["commit"], results["address"], float(results["ignored"]), architectures
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{name} does not hold facts about tests: {error!r}") from error
