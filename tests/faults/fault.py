"""A fault, what has to come of it, and what came of it. Only the standard library is imported."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    Parameters
    ----------
    entry
        The cell before which it entered.
    status
        How its process ended: 1 after an error.
    output, errors
        What it printed from there on.
    """

    entry: int
    status: int
    output: str
    errors: str


@dataclass(frozen=True)
class Fault:
    """What is wrong, and what has to come of it.

    Parameters
    ----------
    stub
        The module in ``stubs/`` that makes it wrong.
    page
        The page that has to fail.
    line
        How the line of the page begins that does.
    error
        How the error begins, type first, or one of its lines.
    """

    stub: str
    page: Path
    line: str
    error: str

    def contradiction(self, outcome: Outcome) -> str:
        """Say what else came of the fault; empty where it is what has to come of it."""
        if outcome.status != 1:
            return f"{self.page.name} did not notice:\n{outcome.output[-2000:]}{outcome.errors}"
        *causes, raised = outcome.errors.split("Traceback (most recent call last)")
        numbers = re.findall(rf'File ".*/{self.page.name}", line (\d+), in <module>', raised)
        if len(numbers) != 1 or any("was the direct cause of" not in text for text in causes[1:]):
            return f"not one error, in the page:\n{outcome.errors}"
        line = self.page.read_text(encoding="utf-8").splitlines()[int(numbers[0]) - 1].strip()
        if not line.startswith(self.line):
            return f"failed at {line!r}:\n{outcome.errors}"
        if not re.search(rf"^(\w+Error: )?{re.escape(self.error)}", outcome.errors, re.MULTILINE):
            return f"failed for another reason:\n{outcome.errors}"
        return ""


def read_outcome(folder: Path, stub: str) -> Outcome:
    """Read what came of a fault; a page that did not come to it did not notice."""
    entry, status, output, errors = (
        file.read_text(encoding="utf-8") if file.exists() else ""
        for file in (folder / f"{stub}.{kind}" for kind in ("entry", "status", "stdout", "stderr"))
    )
    return Outcome(int(entry or 0), int(status or 0), output, errors)
