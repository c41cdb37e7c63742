"""Check one architecture, in the process that the sweep starts for it: ``MODEL_TYPE FILE``.

The report is written after each stage, so that whoever waits for this process knows how far it came
when it crashes, hangs, or takes too much memory.
"""

from __future__ import annotations

import argparse
import errno
import functools
import json
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import smallport.export.exporters
import smallport.export.stages  # noqa: F401 - takes seconds, which are no stage's
from smallport.architectures.broken import BROKEN, broken_model
from smallport.architectures.tiny import tiny_model
from smallport.export.check import check_export
from smallport.export.report import STAGES, ExportReport, StageReport
from smallport.files import replacing
from smallport.sweep.judge import command, stages_of, with_unreached_stages
from smallport.sweep.limits import exit_when_parent_dies


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the architecture that the command line names."""
    parser = argparse.ArgumentParser(prog="smallport.sweep.worker", description=__doc__)
    parser.add_argument("model_type")
    parser.add_argument("file", type=Path)
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1])
    options = parser.parse_args(arguments)
    exit_when_parent_dies()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash says by itself where it was
    again = command(options.model_type)
    ran: list[StageReport] = []
    write(options.file, with_unreached_stages(options.model_type, ran, again))

    def write_so_far(stage: StageReport) -> None:
        ran.append(stage)
        write(options.file, with_unreached_stages(options.model_type, ran, again))

    is_broken = options.model_type == BROKEN
    report = check_export(
        broken_model if is_broken else functools.partial(tiny_model, options.model_type),
        name=options.model_type,
        command=again,
        until=options.until,
        progress=write_so_far,
    )
    # A model that was not built is not known to be an encoder, which has fewer stages.
    stages = tuple(
        one
        for one in report.stages
        if one.status != "not reached" or one.stage in stages_of(options.model_type)
    )
    write(options.file, replace(report, stages=stages))


def run(arguments: Sequence[str] | None = None) -> None:
    """Check an architecture; if no report can be written, the exit status is not 0."""
    try:
        main(arguments)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.exit(os.EX_CANTCREAT)  # what is printed may be lost, for the same reason


def write(file: Path, report: ExportReport) -> None:
    """Write a report, in place of an earlier one, whole or not at all."""
    with replacing(file) as partial:
        partial.write_text(json.dumps(report.to_json()), encoding="utf-8")


if __name__ == "__main__":
    run()
