"""What a stage of a check found, or why it did not pass."""

from __future__ import annotations

from dataclasses import dataclass

from smallport.parity.closeness import Difference


@dataclass(frozen=True)
class Finding:
    """What a stage found, in a sentence, and the largest difference, if it compares."""

    found: str
    difference: Difference | None = None


class StageFailure(Exception):  # noqa: N818 - it is a verdict
    """A stage did not pass.

    Parameters
    ----------
    found
        What it found, in a sentence.
    difference
        The largest difference, if the stage compares.
    error
        What was raised, if anything was.
    """

    def __init__(
        self,
        found: str,
        difference: Difference | None = None,
        error: BaseException | None = None,
    ) -> None:
        super().__init__(found)
        self.found = found
        self.difference = difference
        self.error = error
