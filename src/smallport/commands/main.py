"""The command line: ``smallport check`` and the other commands.

The commands import PyTorch and transformers, which takes seconds, only when they run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from smallport import __version__
from smallport.commands import check, explain, sweep
from smallport.commands.shell import (
    BAD_CALL,
    INTERRUPTED,
    PIPE_CLOSED,
    BadCall,
    OutputError,
    Parser,
    complain,
    guarded_output,
    raise_if_interrupted,
    remembering_interrupts,
)
from smallport.export.report import PACKAGES, SCHEMA

DESCRIPTION = "Check whether language models can be exported, and whether the results are right."

EPILOG = """\
exit status: 0; 1 when a stage failed; 2 for invalid arguments; 130 after Ctrl-C;
141 when the reader of a pipe ended; 74 when standard output cannot be written."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status, which ``--help`` explains."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with remembering_interrupts(), guarded_output():
            status = _run(arguments)
            if status != INTERRUPTED:
                raise_if_interrupted()
            return status
    except KeyboardInterrupt:
        complain("smallport: interrupted")
        return INTERRUPTED
    except OutputError as error:
        if error.status != PIPE_CLOSED:
            complain(f"smallport: {error}")
        return error.status


def _run(arguments: Sequence[str]) -> int:
    """Run a command; a bad call is told on standard error, and with ``--json`` as JSON too."""
    options = argparse.Namespace()
    try:
        _parser().parse_args(arguments, options)
        if not options.offline:
            _require_packages()
        status: int = options.run(options)
    except BadCall as error:
        complain(f"{error.command}: {error}")
        if "--json" in arguments:
            name, until = (getattr(options, key, None) for key in ("model", "until"))
            told = {"schema": SCHEMA, "name": name, "until": until, "passed": False}
            print(json.dumps(told | {"error": str(error)}, indent=2))
        return BAD_CALL
    return status


def _require_packages() -> None:
    """Name the packages of the extra that are missing, and how to install them."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        names = " ".join(missing)
        raise BadCall(
            f"the command needs {', '.join(missing)}, which cannot be found; install what is "
            f"missing with: python -m pip install {names}"
        )


def _parser() -> Parser:
    parser = Parser(prog="smallport", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"smallport {__version__}")
    parser.set_defaults(offline=False)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (check, sweep, explain):
        command.add_parser(subparsers)
    return parser
