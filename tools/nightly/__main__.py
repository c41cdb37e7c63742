"""``python -m tools.nightly run|bisect|report|canary|watch``; ``--help`` explains each.

Exit status 0 means that the reporter works, whatever fails upstream: an issue says that.
"""

import argparse
import datetime as dt
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.nightly import canary, report, sessions, watch
from tools.nightly.outcome import Outcome
from tools.nightly.service import Service, ServiceError


def main(arguments: list[str], connect: Callable[[], Service] = Service.from_environment) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        The command and its arguments.
    connect
        Makes the connection to the service.
    """
    options = _parse(arguments)
    try:
        match options.command:
            case "run":
                return _run(options.set, options.folder)
            case "bisect":
                sessions.bisect(options.set, Outcome.read(options.folder), options.folder)
            case "report":
                print(report.report(connect(), options.set, options.folder, run_address()))
            case "canary":
                return _canary(connect(), options.folder)
            case _:
                return _watch(connect(), warn=options.warn)
    except (ServiceError, ValueError) as error:
        print(f"::error::{error}", file=sys.stderr)
        return 1
    return 0


def run_address(environment: Mapping[str, str] = os.environ) -> str:
    """Write the address of this attempt of this run of the workflow."""
    names = ("SERVER_URL", "REPOSITORY", "RUN_ID", "RUN_ATTEMPT")
    server, repository, number, attempt = (environment.get(f"GITHUB_{name}") for name in names)
    return f"{server}/{repository}/actions/runs/{number}/attempts/{attempt}"


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command and its arguments."""
    parser = argparse.ArgumentParser("python -m tools.nightly", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str, *sets: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        if sets:
            command.add_argument("set", choices=sets)
        if name != "watch":
            command.add_argument("folder", type=Path, help="the folder of the outcome")
        return command

    add("run", "run the sessions with a set of versions", *sessions.FLAGS, canary.SET)
    add("bisect", "find the first bad release of each page that failed", *sessions.FLAGS)
    add("report", "open, update or close the issue of a set", *sessions.FLAGS, canary.SET)
    add("canary", "look whether the broken page was reported; raise the alarm if it was not")
    command = add("watch", "check that the workflows ran recently; raise the alarm if not")
    command.add_argument("--warn", action="store_true", help="only print warnings")
    return parser.parse_args(arguments)


def _run(name: str, folder: Path) -> int:
    """Run the sessions, and print what failed; that is no failure of this command."""
    outcome = canary.run(folder) if name == canary.SET else sessions.run(name, folder)
    for one in outcome.failures:
        print(f"{one.subject}{'' if one.line is None else f':{one.line}'}: {one.error}")
    print(f"{len(outcome.failures)} failures are written into {folder}.")
    return 0


def _canary(service: Service, folder: Path) -> int:
    """Look for the report of the broken page, and close it; raise the alarm where it is missing."""
    run = run_address()
    try:
        found = canary.problems(service, folder, run)
        if not found:
            print(report.close(service, canary.SET, "This was reported as it should be."))
            if canary.open_bodies(service, run):
                found = ["The reporter does not find its issue to close it"]
    except ServiceError as error:
        found = [f"The issues cannot be read or closed: {error}"]
    if found:
        _print(found, "error")
        print(watch.alarm(service, [f"canary.yml: {problem}" for problem in found], run))
    return 1 if found else 0


def _watch(service: Service, *, warn: bool) -> int:
    """Check that the workflows ran recently, and raise the alarm or print warnings."""
    try:
        found = watch.problems(service, dt.datetime.now(dt.UTC))
    except ServiceError as error:
        found = [f"The workflows cannot be read: {error}"]
    _print(found, "warning" if warn else "error")
    if warn:
        return 0
    print(watch.alarm(service, found, run_address()))
    return 1 if found else 0


def _print(problems: list[str], kind: str) -> None:
    """Print problems in the form that workflows show at the top of a run."""
    for problem in problems:
        print(f"::{kind}::{problem.replace(chr(10), ' ')}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
