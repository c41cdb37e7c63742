"""``smallport check``: take one model through every stage, and print what was found."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import textwrap
from typing import TYPE_CHECKING

from smallport.export.report import STAGES, ExportReport, StageReport

if TYPE_CHECKING:  # what argparse calls its own
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

WIDTH = 100
MARKS = {"passed": "passed", "failed": "FAILED", "not reached": "-"}


def add_parser(subparsers: Subparsers) -> None:
    """Add ``check`` to the commands."""
    parser = subparsers.add_parser(
        "check",
        help="check that a model can be exported, and that what comes out is right",
        description="Build a causal language model, export it, translate it to ONNX, and compare "
        "all that comes out with the model. Exit status: 0, 1 (a stage failed), 2 (bad call).",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a model_type of transformers, such as llama, which is checked by a tiny untrained "
        "model; a folder with a checkpoint (./llama, if it is called like one); or a name on the "
        "Hugging Face hub",
    )
    parser.add_argument(
        "--until", choices=STAGES, metavar="STAGE", help=f"stop after one of: {', '.join(STAGES)}"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the model that was named, print the report, and return the exit status."""
    from smallport.architectures.by_name import ModelError, model_builder
    from smallport.export.check import check_export

    try:
        builder = model_builder(options.model)
    except ModelError as error:
        print(f"smallport check: {error}", file=sys.stderr)
        return 2
    output = sys.stdout  # a check keeps what others print from it

    def show(stage: StageReport) -> None:
        print(format_stage(stage), file=output, flush=True)

    report = check_export(
        builder,
        name=options.model,
        command=shlex.join(["smallport", "check", options.model]),
        until=options.until,
        progress=None if options.json else show,
    )
    if options.json:
        print(json.dumps(report.to_json(), indent=2, allow_nan=False))
    else:
        print(_rest(report))
    return 1 if report.failure() else 0


def format_stage(stage: StageReport) -> str:
    """Write what a stage found, as the command prints it.

    Examples
    --------
    >>> print(format_stage(StageReport("exported", "passed", "a program of 206 operations", 2.5)))
    exported             passed   2.5 s  a program of 206 operations
    """
    head = f"{stage.stage:<20} {MARKS[stage.status]:<6} {stage.seconds:>5.1f} s  "
    indent = " " * 21
    wrap = textwrap.TextWrapper(WIDTH, initial_indent=head, subsequent_indent=indent)
    lines = [wrap.fill(stage.found)]
    wrap.initial_indent = indent
    if stage.largest_difference is not None:
        place = f": {stage.where}" if stage.where else ""
        lines.append(
            wrap.fill(f"largest relative difference {stage.largest_difference:.2g}{place}")
        )
    if stage.error:
        lines.append(textwrap.indent(stage.error, indent))
    if stage.recipe:
        lines.append(
            wrap.fill(f'explained in "What the exporter\'s errors mean", recipe-{stage.recipe}')
        )
    return "\n".join(lines)


def _rest(report: ExportReport) -> str:
    """Write the stages that were not reached, the verdict, and how to repeat it."""
    missed = [stage for stage in report.stages if stage.status == "not reached"]
    lines = [f"not reached: {', '.join(stage.stage for stage in missed)}"] if missed else []
    if failure := report.failure():
        verdict = f"{report.name} fails: {failure.stage}"
    elif missed:
        verdict = f"{report.name} passes as far as it was checked"
    else:
        verdict = f"{report.name} passes every stage"
    if report.coverage.not_compared and not report.failure():
        left_out = "; ".join(report.coverage.not_compared.values())
        verdict += f", within what was compared, which leaves out {left_out}"
    if str(report.coverage):
        lines.append(str(report.coverage))
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return "\n".join([*lines, "", verdict, f"with {versions}", f"again: {report.command}"])
