"""``smallport check``: take one model through every stage, and print what was found."""

from __future__ import annotations

import argparse
import functools
import json
import shlex
import sys
from typing import TYPE_CHECKING

from smallport.export.report import STAGES

if TYPE_CHECKING:  # what argparse calls its own
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001


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
    until = ["--until", options.until] if options.until else []
    report = check_export(
        builder,
        name=options.model,
        command=shlex.join(["smallport", "check", options.model, *until]),
        until=options.until,
        progress=None if options.json else functools.partial(print, flush=True),
    )
    if options.json:
        print(json.dumps(report.to_json(), indent=2, allow_nan=False))
    else:
        print(report.verdict())
    return 1 if report.failure() else 0
