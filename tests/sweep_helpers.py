"""What the tests of the sweep share: reports, and the processes that stand in for the check."""

import json
from pathlib import Path

from smallport.export.report import STAGES, ExportReport, StageReport

STAND_IN = str(Path(__file__).with_name("stand_in.py"))
STAND_IN_SERVER = str(Path(__file__).with_name("stand_in_server.py"))


def report_with(*statuses, name="llama", error="", versions=None):
    """Make a report of which the first stages have a status, and the others are not reached."""
    padded = [*statuses, *["not reached"] * (len(STAGES) - len(statuses))]
    stages = tuple(
        StageReport(stage, status, "found", error=error if status == "failed" else "")
        for stage, status in zip(STAGES, padded, strict=True)
    )
    return ExportReport(name, stages, versions or {"torch": "2"}, f"smallport check {name}")


def stand_in(folder):
    """Give the arguments that start a process which does what its architecture's name says."""
    template = folder / "template.json"
    data = report_with(*["passed"] * len(STAGES)).to_json()
    template.write_text(json.dumps(data), encoding="utf-8")
    return ("-X", "faulthandler", STAND_IN, str(template))


def started(folder):
    """List the architectures of which a process was started."""
    file = folder / "ran.txt"
    return file.read_text(encoding="utf-8").split() if file.exists() else []
