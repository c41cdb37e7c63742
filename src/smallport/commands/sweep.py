"""``smallport sweep``: check the export of every language model that transformers registers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smallport.export.report import STAGES
from smallport.files import cache_folder
from smallport.sweep.limits import Limits

if TYPE_CHECKING:
    from smallport.sweep.verdicts import Verdict, Verdicts

INCOMPLETE, BAD_CALL, INTERRUPTED = 1, 2, 130
CAUSES_SHOWN = 5

DESCRIPTION = """\
Check the export of a tiny untrained model of every architecture that transformers registers for
causal language modelling, each in a process of its own. What was found is kept, and a sweep that
was interrupted, or killed, goes on from there."""

EPILOG = """\
exit status: 0 when there is a verdict on each architecture that was chosen, whatever it says;
1 when there is none on some; 2 for a bad call; 130 after an interrupt"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``sweep`` to the commands."""
    parser = subparsers.add_parser(
        "sweep",
        help="check the export of every architecture",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--only", default="", metavar="NAMES", help="names or patterns, such as 'llama,qwen*'"
    )
    parser.add_argument(
        "--stage", choices=STAGES, default=STAGES[-1], help="the last stage (default: all of them)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs",
        type=_positive(int),
        help="how many at a time (default: as many as there are cores)",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run on the Dask cluster of this scheduler, such as tcp://host:8786",
    )
    parser.add_argument(
        "--retry", choices=["failed"], help="run those again in which a stage failed"
    )
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="where verdicts are (default: in the cache)"
    )
    parser.add_argument(
        "--seconds",
        type=_positive(float),
        default=Limits.seconds,
        help="how long one architecture may take (default: %(default)g)",
    )
    parser.add_argument(
        "--megabytes",
        type=_positive(float),
        default=Limits.megabytes,
        help="how much memory one architecture may take (default: %(default)g)",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="write what the scoreboard shows to this file"
    )
    parser.set_defaults(run=run)


def _positive(kind: type[float]) -> type[float]:
    def number(text: str) -> float:
        value = kind(text)
        if not value > 0:
            raise ValueError(text)
        return value

    number.__name__ = f"positive {kind.__name__}"  # argparse puts it into its message
    return number  # type: ignore[return-value]  # argparse only calls it


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep that was asked for, and return the exit status."""
    from smallport.sweep.executors import SweepError

    try:
        return _sweep(arguments)
    except SweepError as error:
        print(f"smallport sweep: {error}", file=sys.stderr)
        return BAD_CALL
    except KeyboardInterrupt:
        print("Interrupted: the next sweep goes on from here.", file=sys.stderr)
        return INTERRUPTED


def _sweep(arguments: argparse.Namespace) -> int:
    from smallport.architectures.tiny import architectures
    from smallport.sweep.executors import SweepError
    from smallport.sweep.runner import choose, locked
    from smallport.sweep.scoreboard import save
    from smallport.sweep.verdicts import Verdicts

    registered = architectures()
    if arguments.keep and (arguments.only or arguments.stage != STAGES[-1]):
        raise SweepError("--keep is for whole sweeps: leave out --only and --stage")
    chosen = choose(registered, arguments.only)
    verdicts = Verdicts(arguments.results or cache_folder() / "sweep")
    with locked(verdicts):
        _find_out(arguments, chosen, verdicts)
        found = verdicts.read_all(chosen, arguments.stage)
    if arguments.keep:
        save(arguments.keep, registered, [one.report for one in found], command="smallport sweep")
    _summarize(found, len(chosen), len(registered))
    return 0 if len(found) == len(chosen) else INCOMPLETE


def _find_out(arguments: argparse.Namespace, chosen: Sequence[str], verdicts: Verdicts) -> None:
    from smallport.display import progress_bar
    from smallport.machine import usable_cores
    from smallport.sweep.counts import count_stages
    from smallport.sweep.executors import cluster, local
    from smallport.sweep.runner import sweep, to_run

    names = to_run(chosen, verdicts, arguments.stage, retry_failed=arguments.retry == "failed")
    print(f"{len(chosen)} architectures, {len(chosen) - len(names)} known; in {verdicts.folder}")
    if not names:
        return
    limits = Limits(arguments.seconds, arguments.megabytes)
    jobs = arguments.jobs or usable_cores()
    place = cluster(arguments.scheduler) if arguments.scheduler else local(jobs)
    reports = [one.report for one in verdicts.read_all(set(chosen) - set(names), arguments.stage)]
    bar = progress_bar(names, "sweep", unit="architecture")
    with place as executor, bar:
        for verdict in sweep(names, verdicts, executor, until=arguments.stage, limits=limits):
            bar.write(str(verdict), file=sys.stdout)
            reports.append(verdict.report)
            passed = {one.stage: one.passed for one in count_stages(reports, len(chosen))}
            bar.set_postfix_str(", ".join(f"{stage} {n}" for stage, n in passed.items()))
            bar.update()


def _summarize(found: Sequence[Verdict], chosen: int, registered: int) -> None:
    """Print the counts by stage, and what stopped most."""
    from smallport.sweep.counts import count_stages, counts_table, frequent_causes

    reports = [verdict.report for verdict in found]
    print(f"\n{chosen} of {registered} registered architectures were chosen.")
    print(counts_table(count_stages(reports, chosen)).to_string(index=False))
    if causes := frequent_causes(reports)[:CAUSES_SHOWN]:
        print("\nThe most frequent causes:")
    for cause in causes:
        names = ", ".join(cause.architectures)
        print(f"{len(cause.architectures):>3} in {cause.stage}: {cause.what}\n      {names}")
