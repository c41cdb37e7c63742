"""What a finished build has to show, whatever sphinx-build returned."""

from collections.abc import Iterator
from pathlib import Path

import records


def findings(site: Path) -> list[str]:
    """Apply every gate to a build; each finding names the page and says what to do."""
    return [*unexecuted(), *unwritten(site)]


def unexecuted() -> Iterator[str]:
    """Find pages that did not run to their end, or whose run no longer stands."""
    for script in records.scripts():
        name = script.relative_to(records.ROOT)
        run = records.read(script)
        if run is None:
            yield f"{name} was never executed; see that the gallery's patterns take it in"
        elif not run.passed:
            yield f"{name} began and did not run to its end"
        elif run.script != records.checksum(script):
            yield f"{name} changed and was not executed again"


def unwritten(site: Path) -> Iterator[str]:
    """Find pages that are not in the site."""
    for script in records.scripts():
        page = site / "gallery" / script.relative_to(records.EXAMPLES).with_suffix(".html")
        if not page.exists():
            yield f"{script.relative_to(records.ROOT)} has no page in the site: {page} is missing"
