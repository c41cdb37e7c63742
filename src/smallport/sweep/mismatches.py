"""Numbers that differ from the model's, each traced to its cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from smallport.export.report import ExportReport
from smallport.sweep.counts import differs


@dataclass(frozen=True)
class Explanation:
    """Why an exported program computes other numbers than the model.

    Parameters
    ----------
    cause
        The explanation, in a sentence or two.
    whose
        Whether it is a mistake, and if so, whose.
    reduced
        The anchor, on the page that checks some architectures live, of the smallest model that
        shows it.
    """

    cause: str
    whose: str
    reduced: str


EXPLANATIONS: Mapping[str, Explanation] = MappingProxyType(
    {
        "doge": Explanation(
            "Its queries attend to the keys with the highest scores. A score depends only "
            "on the token, so a token that occurs twice has the same score twice.",
            "Nobody's mistake: of equal scores ONNX picks the first, PyTorch does not say which it "
            "picks, and they pick different ones.",
            "equal-scores",
        ),
        "git": Explanation(
            "If its cache holds something, it widens its attention mask. The export followed this "
            "branch, so the program widens the mask of a padded text although the cache is empty.",
            "Upstream's: torch.export takes for granted that no dynamic size is 0 or 1, and the "
            "program does not check it.",
            "branch-on-length",
        ),
        "zamba2": Explanation(
            "It computes a single new token in a different form than several, and only the form "
            "for several keeps the time step above a limit. The export followed that one, and the "
            "program computes single tokens by it, too.",
            "Upstream's: the two forms compute different states in PyTorch, too, and the program "
            "does not check that there are several tokens.",
            "branch-on-length",
        ),
    }
)
"""By architecture, what stands behind a difference that rounding does not explain."""


def mismatches(reports: Iterable[ExportReport]) -> dict[str, ExportReport]:
    """Choose the reports of architectures that ran to the end of a comparison, and differed.

    Parameters
    ----------
    reports
        Of any architectures.

    Returns
    -------
    dict
        The reports by architecture.
    """
    return {
        report.name: report
        for report in reports
        if (failure := report.failure()) and differs(failure)
    }


def unexplained(reports: Iterable[ExportReport]) -> list[str]:
    """Compare mismatches with their explanations.

    Parameters
    ----------
    reports
        Of all architectures.

    Returns
    -------
    list of str
        A sentence for each mismatch without an explanation, and for each explanation without a
        mismatch; empty where they fit.
    """
    found = mismatches(reports)
    return [
        *(f"{name} differs, and nothing explains it" for name in found.keys() - EXPLANATIONS),
        *(f"{name} is explained, and does not differ" for name in EXPLANATIONS.keys() - found),
    ]
