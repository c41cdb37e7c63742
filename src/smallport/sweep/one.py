"""Check one architecture, in the process that the sweep starts for it: ``MODEL_TYPE FILE``.

The report is written after each stage, so that whoever waits for this process knows how far it came
when it crashed, hung, or took too much memory.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Sequence
from pathlib import Path

from smallport.export.report import STAGES
from smallport.sweep.limits import end_with_parent


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the architecture that the command line names."""
    parser = argparse.ArgumentParser(prog="smallport.sweep.one", description=__doc__)
    parser.add_argument("model_type")
    parser.add_argument("file", type=Path)
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1])
    options = parser.parse_args(arguments)
    end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash says where by itself
