"""Numbers that differ from the model's, each traced to its cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from smallport.export.report import ExportReport
from smallport.sweep.counts import differs


@dataclass(frozen=True)
class Explanation:
    """The reason why an exported program computes different numbers than its model.

    Parameters
    ----------
    cause
        The cause, in a sentence or two.
    whose
        Whether it is an error, and if so, whose.
    reduced
        The anchor of the smallest model that shows it, on the page with the live sweep.
    """

    cause: str
    whose: str
    reduced: str


EXPLANATIONS: Mapping[str, Explanation] = MappingProxyType(
    {
        "doge": Explanation(
            "Its queries attend to the keys with the highest scores. A score depends on the token "
            "only, so a token that occurs twice has the same score twice.",
            "It is no error: of equal scores, ONNX chooses the first; PyTorch does not document "
            "which one it chooses, and chooses a different one.",
            "equal-scores",
        ),
        "git": Explanation(
            "It widens its attention mask if its cache holds tokens. The export followed this "
            "branch, so the program widens the mask of a padded text although the cache is empty.",
            "It is an error of PyTorch: torch.export assumes that no dynamic size is 0 or 1, and "
            "the program does not check it.",
            "branch-on-length",
        ),
        "zamba2": Explanation(
            "It computes a single new token by a different formula than several, and only the "
            "formula for several limits the time step from below. The export followed that one, "
            "and the program uses it for single tokens, too.",
            "It is an error of transformers and PyTorch: the two formulas also give different "
            "states in the model, and the program does not check that there are several tokens.",
            "branch-on-length",
        ),
    }
)
"""By architecture, the cause of a difference that rounding does not explain."""


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
