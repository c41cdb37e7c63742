"""The command line: ``smallport check`` and what comes beside it.

The commands import PyTorch and transformers, which takes seconds, when they run and not before.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from smallport import __version__
from smallport.commands import check, sweep
from smallport.export.report import PACKAGES

BAD_CALL = 2
"""The exit status of a call that cannot be carried out, as :mod:`argparse` has it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 1 when something was found wrong, or 2 for a bad call."""
    parser = argparse.ArgumentParser(
        prog="smallport", description="Check whether language models can be exported, and right."
    )
    parser.add_argument("--version", action="version", version=f"smallport {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    check.add_parser(subparsers)
    sweep.add_parser(subparsers)
    options = parser.parse_args(arguments)
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        print(
            f"smallport: the command needs {', '.join(missing)}, which cannot be found; "
            f"install what is missing with: python -m pip install {' '.join(missing)}",
            file=sys.stderr,
        )
        return BAD_CALL
    status: int = options.run(options)
    return status
